/** What `monitoring-cost` measures: the flights' server, whose metrics are switched off and on while it is asked. */
import diagnostics from "node:diagnostics_channel";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { switchedMonitoring } from "./switched-monitoring.ts";

const monitoring = switchedMonitoring();
const { loadConfig } = await import("../../src/config/resolve-config.ts");
const { openPlatform } = await import("../../src/platform.ts");
const file = fileURLToPath(new URL("../../examples/flight_delays/millrace.config.ts", import.meta.url));
const loaded = await loadConfig(file, { MILLRACE_DATA: process.argv[2], MILLRACE_PORT: "0" });
const declarations = [fileURLToPath(new URL("../unlogged-flights.ts", import.meta.url))];
const config = { ...loaded, declarations };
const platform = await openPlatform(config, { log: pino({ level: "error" }) });
await platform.ready();
await platform.worker.release();
await platform.worker.finished();

let answered = 0;
diagnostics.subscribe("http.server.response.finish", () => {
  answered++;
});
process.on("message", (pairs: number) => {
  void monitoring.measure({ done: Infinity, pairs }, () => answered).then((cost) => process.send?.(cost));
});
process.on("SIGTERM", () => void platform.close().then(() => process.exit(0)));
process.send?.(platform.url);
