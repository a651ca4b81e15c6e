/**
 * `npm start`: opens Millrace on the embedded stores, replays the flights, and predicts every flight of March through
 * the API at its own prediction time: the replay is held before the first event at or after it. Then the server stays.
 */
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { loadConfig } from "../../src/config/resolve-config.ts";
import { openPlatform } from "../../src/platform.ts";
import { readFlights } from "./replay/flights.ts";
import { createScreen } from "./replay/screen.ts";

const started = performance.now();
const config = await loadConfig(fileURLToPath(new URL("millrace.config.ts", import.meta.url)), process.env);
// Each run starts from nothing, so that it can be watched again.
await rm(config.data, { recursive: true, force: true });
const platform = await openPlatform(config, { log: pino({ level: process.env.MILLRACE_LOG_LEVEL ?? "warn" }) });
await platform.ready();
const screen = createScreen(platform, started);
screen.say(`Millrace is ready at ${platform.url} after ${((performance.now() - started) / 1_000).toFixed(1)} s.`);

let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (stopping) process.exit(130);
    stopping = true;
    screen.close();
    void platform.close().then(() => process.exit(0));
  });
}

const flights = readFlights("2013-03");
const first = flights[0]!;
screen.say(
  "Replaying departures, arrivals and weather from 23 January; flights of March are predicted as they come.\n",
);
for (let from = 0; from < flights.length && !stopping; ) {
  const { time } = flights[from]!;
  let to = from;
  while (to < flights.length && flights[to]!.time === time) to++;
  try {
    await platform.worker.advanceTo(time);
    await screen.predict(flights.slice(from, to));
  } catch (error) {
    // What was under way when it was told to stop.
    if (!stopping) throw error;
  }
  from = to;
}
if (!stopping) {
  await platform.worker.release();
  await platform.worker.finished();
  await screen.finish();
  const example = JSON.stringify({
    rows: [{ ...first.lookup, prediction_time: "2013-04-01T12:00:00Z" }],
    as_of: "2013-04-01T12:00:00Z",
    include_features: true,
  });
  screen.say(`
The server keeps running. Try it:

  curl -s ${platform.url}/v1/models/flight_delay/predict -H 'content-type: application/json' -d '${example}'

  ${platform.url}/docs      the API
  ${platform.url}/metrics   Prometheus metrics

Ctrl-C stops it.`);
}
