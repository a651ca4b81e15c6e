import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFlights } from "../examples/flight_delays/replay/flights.ts";
import * as declared from "../integration/beam/flight-fits.ts";
import type { FeatureServiceMeta } from "../src/definitions/feature-service.ts";
import { type BeamHost, beamHost } from "../src/feature_engineering/beam/beam-host.ts";
import { EMBEDDED_FLINK } from "../src/feature_engineering/beam/flink-options.ts";
import { runBeamJob } from "../src/feature_engineering/beam/run-beam-job.ts";
import { collectDeclarations } from "../src/feature_engineering/plan/collect-declarations.ts";
import type { FittedState } from "../src/feature_engineering/transforms/fitted-state.ts";
import { createFeatureStore, type FeatureStore } from "../src/feature_store/feature-store.ts";
import { duckdbOfflineStore } from "../src/feature_store/offline/duckdb-offline-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { writeTrainingFile } from "../src/feature_store/training-file.ts";
import { beamFitJob, fitManifest } from "../src/pipeline/beam-fit.ts";
import { beamFitFrame } from "../src/pipeline/beam-fit-frame.ts";
import { beamFitHistory } from "../src/pipeline/beam-fit-history.ts";
import { createPipeline } from "../src/pipeline/pipeline.ts";

/**
 * Acceptance: `millrace beam fit` on an embedded Flink and the embedded training set, of the same real flights and the
 * same frame (a month's flights at their prediction times): `millrace.json` must be equal byte for byte. The services
 * are the example's and one with every kind of transform. Argument: parallelism (2).
 */
export async function run(args: readonly string[]): Promise<void> {
  const parallelism = Number(args[0] ?? 2);
  const { views, sources, services } = collectDeclarations(declared);
  const folder = await mkdtemp(join(tmpdir(), "millrace-beam-fit-"));
  const offline = await duckdbOfflineStore({ path: join(folder, "history.duckdb") });
  const online = memoryOnlineStore();
  let failed = 0;
  try {
    let started = performance.now();
    const pipeline = createPipeline({ sources, views, online, offline });
    await pipeline.recover();
    await pipeline.start();
    await pipeline.finished();
    await pipeline.close();
    print("history into DuckDB", seconds(started));
    const store = createFeatureStore({ views, services, online, offline, now: Date.now });
    const labels = join(folder, "labels.jsonl");
    await writeFile(labels, frame());
    const host = await beamHost({ onBuild: (what) => process.stderr.write(`${what}\n`) });
    for (const service of services) {
      started = performance.now();
      const out = join(folder, `${service.name}.parquet`);
      const embedded = await writeTrainingFile(store, { service: service.name, entities: labels, out });
      print(`${service.name}: embedded training set`, seconds(started));
      started = performance.now();
      const fitted = await fit(host, store, service, labels, folder, parallelism);
      print(`${service.name}: beam fit`, `${seconds(started)}, ${fitted.rows} rows, ${fitted.events} events`);
      failed += compare(service.name, embedded, fitted.manifest);
    }
  } finally {
    await offline.close();
    await rm(folder, { recursive: true, force: true });
  }
  if (failed > 0) process.exitCode = 1;
}

function frame(): string {
  const rows = readFlights("2013-02").map(({ time, lookup, late }) => ({
    ...lookup,
    event_timestamp: new Date(time).toISOString(),
    late,
  }));
  return rows.map((row) => JSON.stringify(row)).join("\n");
}

async function fit(
  host: BeamHost,
  store: FeatureStore,
  service: FeatureServiceMeta,
  labels: string,
  folder: string,
  parallelism: number,
): Promise<{ readonly manifest: FittedState; readonly rows: number; readonly events: number }> {
  const runtime = store.service(service.name);
  const job = {
    service,
    frame: await beamFitFrame(runtime, labels, folder),
    history: await beamFitHistory(service, [], undefined, folder),
    ...{ knowledge: "event_time" as const, profile: true, script: host.script },
    result: join(folder, `${service.name}.jsonl`),
  };
  const running = await runBeamJob(host, beamFitJob(job), {
    options: [...EMBEDDED_FLINK, `--parallelism=${parallelism}`],
  });
  const { counters } = await running.ended;
  const events = Object.values(counters).reduce((sum, own) => sum + (own.events ?? 0), 0);
  return { manifest: await fitManifest(runtime, job), rows: job.frame.rows, events };
}

/** How many transforms, and other parts, differ. */
function compare(service: string, expected: FittedState, found: FittedState): number {
  const transforms = Object.keys(expected.transforms);
  const kinds = new Set(Object.values(expected.transforms).map(({ kind }) => kind));
  const differ = transforms.filter(
    (id) => JSON.stringify(expected.transforms[id]) !== JSON.stringify(found.transforms[id]),
  );
  const isEqual = JSON.stringify(expected, null, 2) === JSON.stringify(found, null, 2);
  print(`${service}: transforms, kinds`, `${transforms.length}, ${kinds.size}`);
  print(`${service}: mismatches`, String(differ.length), "0");
  print(`${service}: millrace.json, with the profile`, isEqual ? "equal byte for byte" : "not equal", "equal");
  for (const id of differ.slice(0, 5)) {
    process.stdout.write(
      `  ${id}: ${JSON.stringify(expected.transforms[id])} ${JSON.stringify(found.transforms[id])}\n`,
    );
  }
  return differ.length + (isEqual ? 0 : 1);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1_000).toFixed(1)} s`;
}

function print(what: string, figure: string, aim = ""): void {
  process.stdout.write(`${what.padEnd(48)} ${figure}${aim === "" ? "" : `   aim: ${aim}`}\n`);
}
