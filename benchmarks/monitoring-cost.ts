import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { readFlights } from "../examples/flight_delays/replay/flights.ts";
import { MillraceError } from "../src/definitions/errors.ts";
import { httpLoad } from "./http-load.ts";
import { type MonitoringCost, measuringSeconds, type Turn } from "./monitoring/switched-monitoring.ts";
import { run as monitoring } from "./monitoring.ts";
import { paymentRows } from "./payments.ts";

const PAIRS = 60;
const EVENTS = 1_000_000;

/**
 * What monitoring costs predict (one row per request, 16 connections) and ingest (a file to three views, batches of
 * 1,000): CPU time and throughput with it and without, in alternating turns of 200 ms of one process; then the time of
 * its subscriptions alone, and of a scrape with 10 models and 50 views.
 */
export async function run(): Promise<void> {
  report("predict", "requests", await ofPredict());
  report("ingest", "events", await ofIngest());
  await monitoring();
}

function report(what: string, unit: string, { pairs, share }: MonitoringCost): void {
  const ratios = (of: (turn: Turn) => number): string => {
    const sorted = pairs.map(({ on, off }) => (of(on) / of(off) - 1) * 100).sort((a, b) => a - b);
    const at = (rank: number): string => sorted[Math.max(0, Math.min(sorted.length - 1, Math.round(rank)))]!.toFixed(1);
    // Ranks of the median's confidence interval, by the normal approximation of the binomial.
    const half = 0.98 * Math.sqrt(sorted.length);
    const middle = (sorted.length - 1) / 2;
    return `${at(middle)}% (${at(middle - half)} to ${at(middle + half)})`;
  };
  const total = (is: "on" | "off", of: (turn: Turn) => number): number =>
    pairs.reduce((sum, pair) => sum + of(pair[is]), 0);
  const rate = (is: "on" | "off"): string =>
    Math.round(total(is, ({ done }) => done) / total(is, ({ seconds }) => seconds)).toLocaleString("en");
  const cpu = (is: "on" | "off"): string => (total(is, (turn) => turn.cpu) / total(is, ({ done }) => done)).toFixed(2);
  process.stdout.write(
    `${what}: CPU per ${unit.slice(0, -1)} ${cpu("on")} µs monitored, ${cpu("off")} not: ${ratios((turn) => turn.cpu / turn.done)}; ` +
      `${rate("on")} and ${rate("off")} ${unit}/s; monitoring in ${(share * 100).toFixed(1)}% of the sampled stacks   ` +
      `(aim: under 3%; median of ${pairs.length} pairs of turns, 95% confidence)\n`,
  );
}

async function ofPredict(): Promise<MonitoringCost> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-cost-"));
  const server = fork(fileURLToPath(new URL("monitoring/monitored-server.ts", import.meta.url)), [folder]);
  try {
    const url = await told<string>(server);
    const as_of = "2013-04-01T12:00:00Z";
    const bodies = readFlights("2013-03")
      .slice(0, 5_000)
      .map(({ lookup }) => JSON.stringify({ rows: [{ ...lookup, prediction_time: as_of }], as_of }));
    const target = `${url}/v1/models/flight_delay/predict`;
    await httpLoad(target, bodies, 16, 3);
    server.send(PAIRS);
    const [cost] = await Promise.all([
      told<MonitoringCost>(server),
      httpLoad(target, bodies, 16, measuringSeconds(PAIRS)),
    ]);
    return cost;
  } finally {
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
}

async function ofIngest(): Promise<MonitoringCost> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-cost-"));
  try {
    const out = createWriteStream(join(folder, "payments.jsonl"));
    for (const [id, card, merchant, device, amount, country, at] of paymentRows(EVENTS, 10_000)) {
      const event = { payment_id: id, card_id: card, merchant_id: merchant, device_id: device, amount, country, at };
      if (!out.write(`${JSON.stringify({ ...event, at: new Date(at as number) })}\n`)) await once(out, "drain");
    }
    out.end();
    await finished(out);
    const pipeline = fork(fileURLToPath(new URL("monitoring/monitored-pipeline.ts", import.meta.url)), [
      folder,
      String(EVENTS),
    ]);
    const ended = once(pipeline, "exit");
    const cost = await told<MonitoringCost>(pipeline);
    await ended;
    return cost;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function told<T>(child: ChildProcess): Promise<T> {
  const failed = once(child, "exit").then(([code]) => {
    throw new MillraceError("TOOL_FAILED", `What is measured ended with ${code} before it was.`, {
      kind: "operational",
    });
  });
  failed.catch(() => {});
  const [message] = (await Promise.race([once(child, "message"), failed])) as [T];
  return message;
}
