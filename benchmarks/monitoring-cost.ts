import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { readFlights } from "../examples/flight_delays/replay/flights.ts";
import { Meta } from "../src/definitions/meta.ts";
import { collectDeclarations } from "../src/feature_engineering/plan/collect-declarations.ts";
import { duckdbOfflineStore } from "../src/feature_store/offline/duckdb-offline-store.ts";
import { lmdbOnlineStore } from "../src/feature_store/online/lmdb-online-store.ts";
import { fileReplay, streamSource } from "../src/index.ts";
import { createMetrics } from "../src/monitoring/metrics.ts";
import { createPipeline } from "../src/pipeline.ts";
import { httpLoad } from "./http-load.ts";
import { run as monitoring } from "./monitoring.ts";
import { cardView, deviceView, merchantView, paymentLine, paymentStream, schema } from "./payments.ts";

const PAIRS = 8;
const SECONDS = 3;
const EVENTS = 200_000;

/** What was done in one phase. */
interface Phase {
  readonly perSecond: number;
  /** Microseconds of CPU each. */
  readonly cpu: number;
}

/**
 * Throughput of predict (one row per request, 16 connections) and of ingest (files to three views) with monitoring and
 * without, in alternating phases of one run; then the cost per prediction and of a scrape with 10 models and 50 views.
 */
export async function run(): Promise<void> {
  await compare("predict", "requests", PAIRS, await predictPhases());
  await compare("ingest", "events", PAIRS, await ingestPhases());
  await monitoring();
}

interface Phases extends AsyncDisposable {
  measure(isMonitored: boolean): Promise<Phase>;
}

async function compare(what: string, unit: string, pairs: number, given: Phases): Promise<void> {
  await using phases = given;
  await phases.measure(true);
  const results: { readonly on: Phase; readonly off: Phase }[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    // Each is first as often as the other.
    const first = await phases.measure(pair % 2 === 0);
    const second = await phases.measure(pair % 2 !== 0);
    results.push(pair % 2 === 0 ? { on: first, off: second } : { on: second, off: first });
  }
  const cost = (of: (phase: Phase) => number): string =>
    spread(results.map(({ on, off }) => (of(on) / of(off) - 1) * 100));
  const middle = (is: "on" | "off"): string =>
    Math.round(median(results.map((pair) => pair[is].perSecond))).toLocaleString("en");
  process.stdout.write(
    `${what}: ${middle("on")} ${unit}/s monitored, ${middle("off")} not; time per ${unit.slice(0, -1)} ${cost(({ perSecond }) => 1 / perSecond)}, ` +
      `CPU ${cost(({ cpu }) => cpu)}   (aim: under 3%; median and quartiles of ${pairs} pairs)\n`,
  );
}

async function predictPhases(): Promise<Phases> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-cost-"));
  const server = fork(fileURLToPath(new URL("monitoring/monitored-server.ts", import.meta.url)), [folder]);
  const { url } = await told<{ readonly url: string }>(server);
  const as_of = "2013-04-01T12:00:00Z";
  const bodies = readFlights("2013-03")
    .slice(0, 5_000)
    .map(({ lookup }) => JSON.stringify({ rows: [{ ...lookup, prediction_time: as_of }], as_of }));
  const target = `${url}/v1/models/flight_delay/predict`;
  const turn = async (how: "on" | "off" | ""): Promise<number> => {
    server.send(how);
    return (await told<{ readonly cpu: number }>(server)).cpu;
  };
  await httpLoad(target, bodies, 16, SECONDS);
  return {
    async measure(isMonitored) {
      const before = await turn(isMonitored ? "on" : "off");
      const { requests, seconds } = await httpLoad(target, bodies, 16, SECONDS);
      if (isMonitored) await (await fetch(`${url}/metrics`)).arrayBuffer();
      const cpu = (await turn("")) - before;
      return { perSecond: requests / seconds, cpu: cpu / requests };
    },
    async [Symbol.asyncDispose]() {
      const ended = once(server, "exit");
      server.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function ingestPhases(): Promise<Phases> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-cost-"));
  const path = join(folder, "payments.jsonl");
  const out = createWriteStream(path);
  for (const row of paymentStream(EVENTS, 10_000)) out.write(paymentLine(row));
  out.end();
  await finished(out);
  const replayed = streamSource("payments", {
    stream: fileReplay({ path }),
    clock: "stream",
    eventTime: "at",
    lateness: "1m",
    schema,
  });
  const views = [cardView, merchantView, deviceView].map((view) => view[Meta]);
  const declarations = collectDeclarations({ replayed });
  let turn = 0;
  return {
    async measure(isMonitored) {
      const data = join(folder, String(turn++));
      const online = await lmdbOnlineStore({ path: join(data, "hot") });
      const offline = await duckdbOfflineStore({ path: join(folder, `${turn}.duckdb`) });
      const pipeline = createPipeline({ sources: declarations.sources, views, online, offline });
      await pipeline.recover();
      const metrics = isMonitored ? createMetrics({ thread: "pipeline" }) : null;
      const cpu = process.cpuUsage();
      const started = performance.now();
      await pipeline.start();
      await pipeline.finished();
      await metrics?.render("");
      const seconds = (performance.now() - started) / 1_000;
      const { user, system } = process.cpuUsage(cpu);
      metrics?.close();
      await pipeline.close();
      await online.close();
      await offline.close();
      await rm(data, { recursive: true, force: true });
      await rm(join(folder, `${turn}.duckdb`), { force: true });
      return { perSecond: EVENTS / seconds, cpu: (user + system) / EVENTS };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

async function told<T>(server: ChildProcess): Promise<T> {
  const [message] = (await once(server, "message")) as [T];
  return message;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function spread(values: readonly number[]): string {
  const [low, middle, high] = [0.25, 0.5, 0.75].map((q) => quantile(values, q).toFixed(1));
  return `${Number(middle) > 0 ? "+" : ""}${middle}% (${low} to ${high})`;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.round(q * (sorted.length - 1))]!;
}
