import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFlights } from "../../examples/flight_delays/replay/flights.ts";
import { type BeamHost, beamHost } from "../../src/feature_engineering/beam/beam-host.ts";
import { EMBEDDED_FLINK } from "../../src/feature_engineering/beam/flink-options.ts";
import { runBeamJob } from "../../src/feature_engineering/beam/run-beam-job.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { createFeatureStore } from "../../src/feature_store/feature-store.ts";
import { duckdbOfflineStore } from "../../src/feature_store/offline/duckdb-offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { writeTrainingFile } from "../../src/feature_store/training-file.ts";
import type { TrainingManifest } from "../../src/feature_store/training-set.ts";
import { beamFitJob, fitManifest } from "../../src/pipeline/beam-fit.ts";
import { beamFitFrame } from "../../src/pipeline/beam-fit-frame.ts";
import { beamFitHistory } from "../../src/pipeline/beam-fit-history.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import * as declared from "./flight-fits.ts";

/** The example's real flights with a frame of a month's flights at their prediction times, fitted in both ways. */
export interface FittedFlights {
  /** Of `flight-fits.ts`. */
  readonly services: readonly string[];
  /** By the embedded training set. */
  embedded(service: string): Promise<TrainingManifest>;
  /** By a Beam job on an embedded Flink. */
  beam(service: string, options?: BeamFitting): Promise<BeamFitted>;
  close(): Promise<void>;
}

interface BeamFitting {
  readonly parallelism?: number;
  /** As of `beamFitJob`. */
  readonly mostBytes?: number;
}

interface BeamFitted {
  readonly manifest: TrainingManifest;
  readonly rows: number;
  readonly events: number;
}

export async function fittedFlights(): Promise<FittedFlights> {
  const { views, sources, services } = collectDeclarations(declared);
  const folder = await mkdtemp(join(tmpdir(), "millrace-beam-fit-"));
  const offline = await duckdbOfflineStore({ path: join(folder, "history.duckdb") });
  const online = memoryOnlineStore();
  const store = createFeatureStore({ views, services, online, offline, now: Date.now });
  const labels = join(folder, "labels.jsonl");
  const frame = readFlights("2013-02").map(({ time, lookup, late }) => {
    return { ...lookup, event_timestamp: new Date(time).toISOString(), late };
  });
  await writeFile(labels, frame.map((row) => JSON.stringify(row)).join("\n"));
  const pipeline = createPipeline({ sources, views, online, offline });
  await pipeline.recover();
  await pipeline.start();
  await pipeline.finished();
  await pipeline.close();
  let host: BeamHost | null = null;
  return {
    services: services.map(({ name }) => name),
    embedded: (service) =>
      writeTrainingFile(store, { service, entities: labels, out: join(folder, `${service}.parquet`) }),
    async beam(name, { parallelism = 1, mostBytes } = {}) {
      host ??= await beamHost({ onBuild: (what) => process.stderr.write(`${what}\n`) });
      const runtime = store.service(name);
      const job = {
        service: runtime.service,
        frame: await beamFitFrame(runtime, labels, folder),
        history: await beamFitHistory(runtime.service, [], { cache: folder }),
        ...{ knowledge: "event_time" as const, profile: true, script: host.script },
        ...(mostBytes === undefined ? {} : { mostBytes }),
        result: join(folder, `${name}.jsonl`),
      };
      const running = await runBeamJob(host, beamFitJob(job), {
        options: [...EMBEDDED_FLINK, `--parallelism=${parallelism}`],
      });
      const { counters } = await running.ended;
      const events = Object.values(counters).reduce((sum, own) => sum + (own.events ?? 0), 0);
      return { manifest: await fitManifest(runtime, job), rows: job.frame.rows, events };
    },
    async close() {
      await offline.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
