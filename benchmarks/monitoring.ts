/**
 * What monitoring costs: the subscribers' time per prediction (start, online read of three views with 30 inputs, and
 * prediction), against channels without subscribers and against the client library's own histograms and counters doing
 * the same counting, in alternating rounds of one process; and the time and size of a scrape with 10 models and 50
 * views. Medians and ranges of 15 rounds. Run: `node benchmarks/monitoring.ts`.
 */
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import { availableParallelism, cpus } from "node:os";
import { Counter, Histogram, Registry } from "@prometheus-io/client";
import { PREDICTION_CHANNEL, PREDICTION_START_CHANNEL, type PredictionEvent } from "../src/api/channels.ts";
import { ONLINE_READ_CHANNEL, type OnlineReadEvent } from "../src/feature_store/channels.ts";
import { PREDICTION_BUCKETS, STAGE_BUCKETS } from "../src/monitoring/families/buckets.ts";
import { createMetrics } from "../src/monitoring/metrics.ts";

const ROUNDS = 15;
const PREDICTIONS = 100_000;
const INPUTS = 30;

const starts = channel(PREDICTION_START_CHANNEL);
const reads = channel(ONLINE_READ_CHANNEL);
const predictions = channel(PREDICTION_CHANNEL);
const inputViews = Array.from({ length: INPUTS }, (_, i) => ["card", "merchant", "device"][i % 3]!);
const status = Array.from(
  { length: INPUTS },
  (_, i) => (i % 10 === 0 ? "NULL_VALUE" : "PRESENT") as "PRESENT" | "NULL_VALUE",
);
const latencies = Float64Array.from({ length: 4_096 }, (_, i) => 0.0005 * Math.exp(2 * Math.sin(i * 12.9898)));

function predictAll(model: string, count: number): void {
  for (let i = 0; i < count; i++) {
    const seconds = latencies[i & 4_095]!;
    if (starts.hasSubscribers) starts.publish(undefined);
    if (reads.hasSubscribers) {
      reads.publish({
        service: "risk",
        rows: 1,
        hits: 3,
        misses: 0,
        unavailable: 0,
        cacheHits: 1,
        cacheMisses: 0,
        cacheAgeSeconds: 0.1,
        headOverlaps: 0,
        seconds: seconds / 2,
        inputViews,
        statuses: () => [status],
      } satisfies OnlineReadEvent);
    }
    if (predictions.hasSubscribers) {
      predictions.publish({
        model,
        version: "1",
        rows: 1,
        seconds,
        stages: { features: seconds / 2, model: seconds / 4 },
        outcome: "ok",
      } satisfies PredictionEvent);
    }
  }
}

/** The same counts by the library's classes, children cached. */
function libraryMetrics(): () => void {
  const registers = [new Registry()];
  const histogram = (name: string, labelNames: string[], buckets: readonly number[]): Histogram<string> =>
    new Histogram({ name, help: name, labelNames, buckets: [...buckets], registers });
  const counter = (name: string, labelNames: string[]): Counter<string> =>
    new Counter({ name, help: name, labelNames, registers });
  const seconds = histogram("seconds", ["model"], PREDICTION_BUCKETS).labels("m");
  const stages = histogram("stages", ["model", "stage"], STAGE_BUCKETS);
  const [features, model] = [stages.labels("m", "features"), stages.labels("m", "model")];
  const [rows, ok] = [counter("rows", ["model"]).labels("m"), counter("ok", ["model", "outcome"]).labels("m", "ok")];
  const read = histogram("read", ["service"], STAGE_BUCKETS).labels("s");
  const [readRows, hits, misses, overlaps] = ["a", "b", "c", "d"].map((name) => counter(name, ["service"]).labels("s"));
  const byStatus = counter("statuses", ["view", "status"]);
  const statuses = new Map(
    inputViews.map((view) => [
      view,
      { PRESENT: byStatus.labels(view, "PRESENT"), NULL_VALUE: byStatus.labels(view, "NULL_VALUE") },
    ]),
  );
  const onRead = (message: unknown): void => {
    const event = message as OnlineReadEvent;
    read.observe(event.seconds);
    readRows!.inc(event.rows);
    hits!.inc(event.hits);
    misses!.inc(event.misses);
    overlaps!.inc(event.headOverlaps);
    const present = new Map<string, number>();
    const nulls = new Map<string, number>();
    for (const row of event.statuses()) {
      for (let i = 0; i < row.length; i++) {
        const tally = row[i] === "PRESENT" ? present : nulls;
        tally.set(inputViews[i]!, (tally.get(inputViews[i]!) ?? 0) + 1);
      }
    }
    for (const [view, count] of present) statuses.get(view)!.PRESENT.inc(count);
    for (const [view, count] of nulls) statuses.get(view)!.NULL_VALUE.inc(count);
  };
  const onPrediction = (message: unknown): void => {
    const event = message as PredictionEvent;
    ok.inc(1);
    rows.inc(event.rows);
    seconds.observe(event.seconds);
    features.observe(event.stages.features);
    model.observe(event.stages.model);
  };
  subscribe(ONLINE_READ_CHANNEL, onRead);
  subscribe(PREDICTION_CHANNEL, onPrediction);
  return () => {
    unsubscribe(ONLINE_READ_CHANNEL, onRead);
    unsubscribe(PREDICTION_CHANNEL, onPrediction);
  };
}

function spread(values: readonly number[], digits: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, middle, high] = [sorted[0]!, sorted[sorted.length >> 1]!, sorted.at(-1)!].map((v) => v.toFixed(digits));
  return `${middle} (${low}–${high})`;
}

async function scrape(): Promise<void> {
  const metrics = createMetrics({ thread: "main" });
  for (let m = 0; m < 10; m++) predictAll(`model-${m}`, 100);
  for (let v = 0; v < 50; v += 5) {
    const views = Array.from({ length: 5 }, (_, i) => `view-${v + i}`);
    const statuses = (): readonly (readonly "PRESENT"[])[] => [views.map(() => "PRESENT" as const)];
    reads.publish({
      service: `service-${v}`,
      rows: 1,
      hits: 5,
      misses: 0,
      unavailable: 0,
      cacheHits: 1,
      cacheMisses: 0,
      cacheAgeSeconds: 0.1,
      headOverlaps: 0,
      seconds: 1e-4,
      inputViews: views,
      statuses,
    } satisfies OnlineReadEvent);
  }
  for (const [name, accept] of [
    ["text", ""],
    ["OpenMetrics", "application/openmetrics-text"],
  ] as const) {
    const times: number[] = [];
    let body = "";
    for (let round = 0; round < ROUNDS; round++) {
      const started = performance.now();
      body = (await metrics.render(accept)).body;
      times.push(performance.now() - started);
    }
    const samples = body.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length;
    console.log(
      `scrape, ${name.padEnd(11)} ${spread(times, 1)} ms, ${samples} samples, ${Math.round(body.length / 1024)} KiB`,
    );
  }
  metrics.close();
}

export async function run(): Promise<void> {
  console.log(`${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Node ${process.version}`);
  const open = {
    "no subscribers": () => () => {},
    "Millrace's metrics": () => {
      const metrics = createMetrics({ thread: "main" });
      return () => metrics.close();
    },
    "the library's classes": libraryMetrics,
  };
  const times = new Map<string, number[]>(Object.keys(open).map((name) => [name, []]));
  for (let round = -3; round < ROUNDS; round++) {
    for (const [name, start] of Object.entries(open)) {
      const stop = start();
      const started = performance.now();
      predictAll("m", PREDICTIONS);
      const each = ((performance.now() - started) * 1_000) / PREDICTIONS;
      stop();
      // The first three rounds warm up.
      if (round >= 0) times.get(name)!.push(each);
    }
  }
  for (const [name, values] of times) console.log(`${name.padEnd(22)} ${spread(values, 3)} µs per prediction`);
  await scrape();
}

if (import.meta.main) await run();
