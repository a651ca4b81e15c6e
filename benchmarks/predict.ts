import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { readFlights } from "../examples/flight_delays/replay/flights.ts";
import { httpLoad } from "./http-load.ts";

const SECONDS = 8;

/** One row per request, 39 features of ten lookups from LMDB, XGBoost of 263 trees; server and load in one process each. */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-predict-"));
  const server = spawn(process.execPath, [fileURLToPath(new URL("predict-server.ts", import.meta.url)), folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = (await once(server.stdout!)) as [string];
    const { url, atRest, afterReplay } = JSON.parse(line) as { url: string; atRest: number; afterReplay: number };
    const as_of = "2013-04-01T12:00:00Z";
    const bodies = readFlights("2013-03")
      .slice(0, 5_000)
      .map(({ lookup }) => JSON.stringify({ rows: [{ ...lookup, prediction_time: as_of }], as_of }));
    const target = `${url}/v1/models/flight_delay/predict`;
    await httpLoad(target, bodies, 16, 3);
    const aims: Readonly<Record<number, string>> = { 1: "P50 under 0.5 ms", 16: "over 10,000 requests/s", 64: "" };
    for (const connections of [1, 16, 64]) {
      const load = await httpLoad(target, bodies, connections, SECONDS);
      process.stdout.write(
        `${String(connections).padStart(2)} connections: ${Math.round(load.requests / load.seconds).toLocaleString("en")} requests/s, ` +
          `P50 ${load.p50.toFixed(2)} P95 ${load.p95.toFixed(2)} P99 ${load.p99.toFixed(2)} ms, ${load.failures} failures` +
          `${aims[connections] === "" ? "" : `   (aim: ${aims[connections]})`}\n`,
      );
    }
    process.stdout.write(
      `resident memory: ${atRest} MiB at rest, ${afterReplay} MiB after a full replay   (aim: under 600 MB)\n`,
    );
  } finally {
    server.kill("SIGTERM");
    await rm(folder, { recursive: true, force: true });
  }
}

function once(stream: NodeJS.ReadableStream): Promise<unknown[]> {
  return new Promise((resolve) => createInterface(stream).once("line", (line) => resolve([line])));
}
