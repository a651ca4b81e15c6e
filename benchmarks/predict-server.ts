/** The server that `predict` measures: the flights replayed to the end, then quiet. Prints its address and memory. */
import { fileURLToPath } from "node:url";
import pino from "pino";
import { loadConfig } from "../src/config/resolve-config.ts";
import { openPlatform } from "../src/platform.ts";

const file = fileURLToPath(new URL("../examples/flight_delays/millrace.config.ts", import.meta.url));
const loaded = await loadConfig(file, { MILLRACE_DATA: process.argv[2], MILLRACE_PORT: "0" });
const declarations = [fileURLToPath(new URL("./unlogged-flights.ts", import.meta.url))];
const config = { ...loaded, declarations };
const memory = (): number => Math.round(process.memoryUsage.rss() / 2 ** 20);
const platform = await openPlatform(config, { log: pino({ level: "error" }) });
await platform.ready();
const atRest = memory();
await platform.worker.release();
await platform.worker.finished();
process.stdout.write(`${JSON.stringify({ url: platform.url, atRest, afterReplay: memory() })}\n`);
process.on("SIGTERM", () => void platform.close().then(() => process.exit(0)));
