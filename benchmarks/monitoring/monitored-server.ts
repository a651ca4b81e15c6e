/** What `monitoring-cost` measures: the flights' server, whose metrics are switched off and on by messages. */
import diagnostics from "node:diagnostics_channel";
import { syncBuiltinESMExports } from "node:module";
import { fileURLToPath } from "node:url";
import pino from "pino";

/** What monitoring listens to; others, such as the admission of requests, listen on. */
const listeners: (readonly [channel: string | symbol, listener: diagnostics.ChannelListener])[] = [];
const subscribe = diagnostics.subscribe;
diagnostics.subscribe = (channel, listener) => {
  if (new Error("who").stack?.includes("/src/monitoring/") === true) listeners.push([channel, listener]);
  subscribe(channel, listener);
};
syncBuiltinESMExports();

const { loadConfig } = await import("../../src/config.ts");
const { openPlatform } = await import("../../src/platform.ts");
const file = fileURLToPath(new URL("../../examples/flight_delays/millrace.config.ts", import.meta.url));
const config = await loadConfig(file, { MILLRACE_DATA: process.argv[2], MILLRACE_PORT: "0" });
const platform = await openPlatform(config, { log: pino({ level: "error" }) });
await platform.ready();
await platform.worker.release();
await platform.worker.finished();

let isOn = true;
process.on("message", (message) => {
  if (message !== "" && isOn !== (message === "on")) {
    isOn = !isOn;
    for (const [channel, listener] of listeners) {
      if (isOn) subscribe(channel, listener);
      else diagnostics.unsubscribe(channel, listener);
    }
  }
  const { user, system } = process.cpuUsage();
  process.send?.({ cpu: user + system });
});
process.on("SIGTERM", () => void platform.close().then(() => process.exit(0)));
process.send?.({ url: platform.url, listeners: listeners.length });
