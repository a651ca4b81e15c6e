/** One of those that `tracing-cost` compares: the flights' server, traced or not as its variables say. Folder. */
import { fileURLToPath } from "node:url";
import pino from "pino";
import { loadConfig } from "../../src/config/resolve-config.ts";
import { openPlatform } from "../../src/platform.ts";

const file = fileURLToPath(new URL("../../examples/flight_delays/millrace.config.ts", import.meta.url));
const config = await loadConfig(file, { MILLRACE_DATA: process.argv[2], MILLRACE_PORT: "0" });
const platform = await openPlatform(config, { log: pino({ level: "error" }) });
await platform.ready();
await platform.worker.release();
await platform.worker.finished();
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.on("SIGTERM", () => void platform.close().then(() => process.exit(0)));
process.send?.(platform.url);
