import { join } from "node:path";
import type { LifecycleBackend } from "./api/lifecycle-backend.ts";
import { millraceError } from "./definitions/errors.ts";
import type { ColumnTypeSpec } from "./definitions/value.ts";
import { collectDeclarations, type Declarations } from "./feature_engineering/plan/collect-declarations.ts";
import { type ConsistencyReport, checkConsistency } from "./feature_store/check-consistency.ts";
import { createFeatureStore, type FeatureStore } from "./feature_store/feature-store.ts";
import { encodeFrame } from "./feature_store/offline/duckdb-frame.ts";
import { duckdbOfflineStore } from "./feature_store/offline/duckdb-offline-store.ts";
import type { StoredDeadLetter } from "./feature_store/offline/offline-store.ts";
import { lmdbOnlineStore } from "./feature_store/online/lmdb-online-store.ts";
import {
  type AppliedPlan,
  applyPlan,
  currentPlan,
  type PlanPreview,
  previewPlan,
} from "./feature_store/registry/registry.ts";
import { readSourceClock } from "./feature_store/source-clock.ts";
import { createTrainingSet, type TrainingManifest, type TrainingSetRequest } from "./feature_store/training-set.ts";
import type { ViewRuntime } from "./feature_store/view-runtime.ts";
import type { PushOptions, PushResult } from "./ingestion/sources/http-push.ts";
import { createLifecycle } from "./lifecycle.ts";
import { createPipeline, type PipelineStatus } from "./pipeline.ts";
import { portableError } from "./thread-rpc.ts";

export interface WorkerOptions {
  /** Absolute paths of the modules with the declarations. */
  readonly declarations: readonly string[];
  /** The folder of the embedded stores. */
  readonly data: string;
  readonly replay: { readonly speed: number | "max"; readonly hold: boolean };
  /** False: no source is read; events still come over HTTP. */
  readonly ingest: boolean;
}

/** What the main thread may ask of the pipeline's thread. */
export type WorkerMethods = LifecycleBackend & {
  /** Applies the plan, folds what the hot store lacks, starts the sources. Resolves when every view is ready. */
  readonly start: () => Promise<void>;
  readonly push: (source: string, events: readonly unknown[] | string, options: PushOptions) => Promise<PushResult>;
  readonly advanceTo: (time: number) => Promise<void>;
  readonly release: () => void;
  readonly finished: () => Promise<void>;
  readonly status: () => Promise<PipelineStatus>;
  readonly trainingSet: (
    service: string,
    request: TrainingSetRequest,
    format: "parquet" | "csv" | "rows",
  ) => Promise<TrainingSetAnswer>;
  readonly deadLetters: (filter: { source?: string; limit: number }) => Promise<readonly StoredDeadLetter[]>;
  readonly removeDeadLetters: (ids: readonly number[]) => Promise<void>;
  readonly plan: () => Promise<PlanPreview>;
  readonly applied: () => Promise<AppliedPlan | null>;
  /** Compares the hot store with history for a sample of entities of a view, or of every view. */
  readonly checkConsistency: (view: string | null, sample: number) => Promise<readonly ConsistencyReport[]>;
  /** The thread's metrics in the exposition format that `accept` asks for. Only where the thread has metrics. */
  readonly metrics: (accept: string) => Promise<string>;
  readonly close: () => Promise<void>;
};

export interface TrainingSetAnswer {
  /** The file's bytes; null for `rows`. */
  readonly bytes: Uint8Array | null;
  readonly columns: readonly { readonly name: string; readonly kind: string; readonly item: ColumnTypeSpec | null }[];
  readonly rows: readonly (readonly unknown[])[] | null;
  readonly manifest: TrainingManifest;
}

/** Opens the embedded stores and makes the pipeline of the declarations. `tell` reports failures and bad functions. */
export async function createWorkerMethods(
  options: WorkerOptions,
  modules: readonly Readonly<Record<string, unknown>>[],
  tell: (notice: string, value: unknown) => void,
): Promise<Omit<WorkerMethods, "metrics">> {
  const declarations: Declarations = collectDeclarations(
    Object.assign({}, ...modules.map((module, i) => prefixed(module, i))),
  );
  const online = await lmdbOnlineStore({ path: join(options.data, "hot") });
  const offline = await duckdbOfflineStore({ path: join(options.data, "cold.duckdb") });
  const onFunctionFailure = (where: string): void => tell("function-failed", where);
  const pipeline = createPipeline({
    ...declarations,
    online,
    offline,
    replay: options.replay,
    onFunctionFailure,
    onFailure: (source, error) =>
      tell("source-failed", { source, message: error instanceof Error ? error.message : String(error) }),
  });
  const store: FeatureStore = createFeatureStore({
    ...declarations,
    online,
    offline,
    now: Date.now,
    onFunctionFailure,
  });
  const lifecycle = createLifecycle({
    online,
    offline,
    current: () => ({ declarations, store }),
    onFailure: (what, error) => tell("background-failed", { what, ...portableError(error) }),
  });
  let closing: Promise<void> | null = null;
  return {
    ...lifecycle.methods,
    async start() {
      await applyPlan(offline, declarations);
      await lifecycle.beforeFill();
      await pipeline.recover();
      await lifecycle.afterFill();
      if (options.ingest) await pipeline.start();
    },
    push: (source, events, pushOptions) => pipeline.push(source, events, pushOptions),
    advanceTo: (time) => pipeline.advanceTo(time),
    release: () => pipeline.release(),
    finished: () => pipeline.finished(),
    status: () => pipeline.status(),
    async trainingSet(service, request, format) {
      const { columns, rows, manifest } = await createTrainingSet(store, service, request);
      return {
        bytes: format === "rows" ? null : await encodeFrame(format, { columns, rows }),
        columns: columns.map(({ name, type }) => ({ name, kind: type.kind, item: type.item ?? null })),
        rows: format === "rows" ? rows : null,
        manifest,
      };
    },
    deadLetters: (filter) => offline.deadLetters(filter),
    removeDeadLetters: (ids) => offline.removeDeadLetters(ids),
    plan: () => previewPlan(offline, declarations),
    applied: () => currentPlan(offline),
    async checkConsistency(name, sample) {
      const views = name === null ? [...store.views.values()] : [viewOf(store, name)];
      const reports: ConsistencyReport[] = [];
      for (const view of views) {
        const time = await readSourceClock(online, [view.layout.view.source], Date.now);
        reports.push(await checkConsistency({ view, online, offline, sample, time }));
      }
      return reports;
    },
    close() {
      closing ??= (async () => {
        await lifecycle.close();
        await pipeline.drain();
        await online.close();
        await offline.close();
      })();
      return closing;
    },
  };
}

/** Two modules may export one name: what is declared has its own. */
function prefixed(module: Readonly<Record<string, unknown>>, index: number): Record<string, unknown> {
  if (Object.keys(module).length === 0)
    throw millraceError("CONFIG_INVALID", "A module of declarations exports nothing.");
  return Object.fromEntries(Object.entries(module).map(([name, value]) => [`${index}.${name}`, value]));
}

function viewOf(store: FeatureStore, name: string): ViewRuntime {
  const found = store.views.get(name);
  if (found !== undefined) return found;
  throw millraceError(
    "VIEW_UNKNOWN",
    `There is no feature view '${name}': declared are ${[...store.views.keys()].join(", ")}.`,
  );
}
