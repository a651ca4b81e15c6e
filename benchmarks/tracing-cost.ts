import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readFlights } from "../examples/flight_delays/replay/flights.ts";
import { httpLoad } from "./http-load.ts";

const ROUNDS = 12;
const SECONDS = 1;

interface Contestant {
  readonly what: string;
  /** Of traces that are recorded; null: tracing is off. */
  readonly ratio: number | null;
}
const CONTESTANTS: readonly Contestant[] = [
  { what: "off", ratio: null },
  { what: "on, 1% recorded", ratio: 0.01 },
  { what: "on, 100% recorded", ratio: 1 },
];

/**
 * CPU time of a prediction (flights, one row, 16 connections) of three servers, without tracing, with 1% and with all
 * traces recorded and sent to a collector that takes and forgets them; asked in turns of a second.
 */
export async function run(): Promise<void> {
  const collector = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.setHeader("content-type", "application/x-protobuf").end());
  }).listen(0, "127.0.0.1");
  await once(collector, "listening");
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const folder = await mkdtemp(join(tmpdir(), "millrace-tracing-cost-"));
  const as_of = "2013-04-01T12:00:00Z";
  const bodies = readFlights("2013-03")
    .slice(0, 5_000)
    .map(({ lookup }) => JSON.stringify({ rows: [{ ...lookup, prediction_time: as_of }], as_of }));
  const servers: ChildProcess[] = [];
  try {
    const urls: string[] = [];
    for (const [i, { ratio }] of CONTESTANTS.entries()) {
      const server = fork(
        fileURLToPath(new URL("monitoring/traced-server.ts", import.meta.url)),
        [join(folder, String(i))],
        {
          env: {
            ...process.env,
            ...(ratio === null
              ? { OTEL_SDK_DISABLED: "true" }
              : { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER_ARG: String(ratio) }),
          },
        },
      );
      servers.push(server);
      urls.push(`${((await once(server, "message")) as [string])[0]}/v1/models/flight_delay/predict`);
    }
    const cpu = async (i: number): Promise<number> => {
      servers[i]!.send("");
      return ((await once(servers[i]!, "message")) as [number])[0];
    };
    const costs = CONTESTANTS.map((): number[] => []);
    const rates = CONTESTANTS.map((): number[] => []);
    for (const url of urls) await httpLoad(url, bodies, 16, 3);
    for (let round = 0; round < ROUNDS; round++) {
      for (let k = 0; k < CONTESTANTS.length; k++) {
        // Each is first, second and last as often as the others.
        const i = (round + k) % CONTESTANTS.length;
        const before = await cpu(i);
        const { requests, seconds } = await httpLoad(urls[i]!, bodies, 16, SECONDS);
        costs[i]!.push(((await cpu(i)) - before) / requests);
        rates[i]!.push(requests / seconds);
      }
    }
    for (const [i, { what }] of CONTESTANTS.entries()) {
      const more = costs[i]!.map((cost, round) => (cost / costs[0]![round]! - 1) * 100).sort((a, b) => a - b);
      const [low, middle, high] = [0.25, 0.5, 0.75].map((q) => more[Math.round(q * (ROUNDS - 1))]!.toFixed(1));
      process.stdout.write(
        `${what}: ${median(costs[i]!).toFixed(1)} µs of CPU a request, ${Math.round(median(rates[i]!)).toLocaleString("en")} requests/s` +
          `${i === 0 ? "" : `; CPU ${middle}% more (${low} to ${high})`}${i === 1 ? "   (aim: under 10%)" : ""}\n`,
      );
    }
  } finally {
    for (const server of servers) {
      const ended = once(server, "exit");
      server.kill("SIGTERM");
      await ended;
    }
    collector.closeAllConnections();
    collector.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
