import { channel } from "node:diagnostics_channel";
import { readFlights } from "../examples/flight_delays/replay/flights.ts";
import { PREDICTED_ROWS_CHANNEL } from "../src/api/channels.ts";
import { createModelHost } from "../src/api/models/create-model-host.ts";
import { Meta } from "../src/definitions/meta.ts";
import { collectDeclarations } from "../src/feature_engineering/plan/collect-declarations.ts";
import { serviceHash } from "../src/feature_engineering/plan/plan-hash.ts";
import { createFeatureStore } from "../src/feature_store/feature-store.ts";
import { encodeLoggedPrediction } from "../src/feature_store/logged-prediction.ts";
import { memoryOfflineStore } from "../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { followOutcome } from "../src/feature_store/outcomes/outcome-follower.ts";
import { compileOutcome } from "../src/feature_store/outcomes/outcome-runtime.ts";
import { createMetricSet } from "../src/monitoring/metric-set.ts";
import { qualityMetrics } from "../src/monitoring/quality-metrics.ts";
import { sourceTable } from "../src/pipeline/source-pipeline.ts";
import * as unlogged from "./unlogged-flights.ts";

const CONCURRENT = 16;
const OUTCOME_SECONDS = 30;

/**
 * What drift costs a serving thread: predictions of one row (39 features, XGBoost of 263 trees, the hot store in memory)
 * with and without it, in turns that alternate, by CPU time. Then a look at outcomes. Arguments: pairs of turns (default
 * 40), predictions of each turn (10,000), predictions that an outcome holds (50,000).
 */
export async function run(args: readonly string[]): Promise<void> {
  const [pairs = 40, turn = 10_000, held = 50_000] = args.map(Number);
  await drift(pairs, turn);
  await outcomes(held);
}

async function drift(pairs: number, turn: number): Promise<void> {
  const declarations = collectDeclarations(unlogged as unknown as Record<string, unknown>);
  const now = Date.now;
  const features = createFeatureStore({ ...declarations, online: memoryOnlineStore(), offline: null, now });
  const log = { info() {}, warn: (facts: object) => console.error(facts) };
  await using host = createModelHost({
    models: declarations.models,
    features,
    pollSeconds: 3_600,
    cacheBytes: 2 ** 30,
    log,
    now,
  });
  // A folder counts as complete when it has been quiet for a while.
  for (let i = 0; i < 100 && host.list()[0]!.serving === null; i++) {
    await host.refresh();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const rows = readFlights("2013-03")
    .slice(0, 2_000)
    .map(({ lookup }) => lookup);
  let at = 0;
  async function predictions(): Promise<number> {
    const before = process.cpuUsage();
    const one = async (): Promise<void> => {
      for (let i = 0; i < turn / CONCURRENT; i++) {
        await host.predict("flight_delay", { rows: [rows[at++ % rows.length]!], asOf: Date.UTC(2013, 3, 1) });
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT }, one));
    const { user, system } = process.cpuUsage(before);
    return (user + system) / turn;
  }
  const quality = qualityMetrics(createMetricSet(), now);
  const published = channel(PREDICTED_ROWS_CHANNEL);
  // Node has no other way to take a listener away and put the same one back: anew, it would begin with a burst of rows.
  const [listener] = (published as unknown as { readonly _subscribers: [(event: unknown) => void] })._subscribers;
  // Until the burst is over, and all is compiled.
  for (let i = 0; i < 5; i++) await predictions();
  const on: number[] = [];
  const off: number[] = [];
  const ratios: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    for (const isOn of pair % 2 === 0 ? [true, false] : [false, true]) {
      published.unsubscribe(listener);
      if (isOn) published.subscribe(listener);
      (isOn ? on : off).push(await predictions());
    }
    ratios.push(on.at(-1)! / off.at(-1)! - 1);
  }
  quality.end();
  const percent = (share: number): string => `${(share * 100).toFixed(2)}%`;
  console.log(
    `drift: ${median(on).toFixed(1)} µs of CPU a prediction with it, ${median(off).toFixed(1)} without: ${percent(median(ratios))} more (median of ${pairs} pairs; quartiles ${percent(quantile(ratios, 0.25))} to ${percent(quantile(ratios, 0.75))})   (aim: under 1%)`,
  );
}

async function outcomes(held: number): Promise<void> {
  const { lateArrivals } = await import("../examples/flight_delays/features.ts");
  const meta = lateArrivals[Meta];
  const { source, model } = meta;
  const offline = memoryOfflineStore();
  await offline.prepareSource(sourceTable(source, []));
  await offline.own(source.name, "0");
  const hash = serviceHash(model.service);
  const first = Date.UTC(2013, 2, 1);
  for (let from = 0; from < held; from += 1_000) {
    await offline.appendPredictions(
      Array.from({ length: 1_000 }, (_, i) => ({
        model: model.name,
        at: first,
        keys: [],
        json: encodeLoggedPrediction({
          modelVersion: "1",
          service: model.service.name,
          serviceHash: hash,
          asOf: first + from + i,
          lookup: model.service.lookup.map(({ name, type }) =>
            name === "tail_number" ? `N${from + i}` : type.kind === "string" ? "EWR" : 7,
          ),
          inputs: Array.from({ length: 40 }, (_slot, slot) => slot / 7),
          statuses: new Array(40).fill("PRESENT"),
          outputs: { probability: (i % 100) / 100 },
          sampleRate: 1,
          id: `${from + i}:0`,
          views: null,
        }),
      })),
    );
  }
  const { otherwise: _, ...rest } = meta;
  // Each counts as an answer without an event: then all of them are measured.
  const runtime = compileOutcome({ ...rest, otherwise: false }, () => {});
  const follower = followOutcome({
    runtime,
    offline,
    clock: async () => first + 3 * 86_400_000,
    now: Date.now,
  });
  const measured = async (): Promise<number> => {
    const before = process.cpuUsage();
    await follower.look();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
  const begin = await measured();
  const looks: number[] = [];
  for (let i = 0; i < 15; i++) looks.push(await measured());
  const look = median(looks);
  console.log(
    `outcomes: ${((begin * 1_000) / held).toFixed(1)} µs of CPU a logged prediction, once; a look at ${held.toLocaleString("en")} of them ${look.toFixed(0)} ms, every ${OUTCOME_SECONDS} s: ${(look / OUTCOME_SECONDS / 10).toFixed(2)}% of a core   (aim: under 1%)`,
  );
}

function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))]!;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
