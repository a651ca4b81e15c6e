import { join } from "node:path";
import type { LifecycleBackend } from "../api/lifecycle-backend.ts";
import type { ConnectionsConfig } from "../config/connections.ts";
import type { DeadLetterThresholds } from "../config/dead-letter-config.ts";
import { loadDeclarations } from "../config/load-declarations.ts";
import { checkRetention, type Retention } from "../config/retention.ts";
import { areShared } from "../config/store-config.ts";
import { millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type { ColumnTypeSpec } from "../definitions/value.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { type ConsistencyReport, checkConsistency } from "../feature_store/check-consistency.ts";
import { extendErasures } from "../feature_store/erase-entity.ts";
import { createFeatureStore, type FeatureStore } from "../feature_store/feature-store.ts";
import { encodeFrame } from "../feature_store/offline/duckdb-frame.ts";
import type { StoredDeadLetter } from "../feature_store/offline/offline-store.ts";
import {
  type AppliedPlan,
  applyPlan,
  checkPlan,
  currentPlan,
  type PlanPreview,
  previewPlan,
} from "../feature_store/registry/registry.ts";
import { readSourceClock } from "../feature_store/source-clock.ts";
import { type TrainingJobs, trainingJobs } from "../feature_store/training-jobs.ts";
import { createTrainingSet, type TrainingManifest, type TrainingSetRequest } from "../feature_store/training-set.ts";
import type { ViewRuntime } from "../feature_store/view-runtime.ts";
import type { PushedEvents, PushOptions, PushResult } from "../ingestion/sources/http-push.ts";
import { createLifecycle } from "../pipeline/lifecycle.ts";
import { createOutcomeWatch } from "../pipeline/outcome-watch.ts";
import { createPipeline, type PipelineStatus } from "../pipeline/pipeline.ts";
import { createPipelineSwitch } from "../pipeline/pipeline-switch.ts";
import { type ResetPartition, type ResetTo, resetSource } from "../pipeline/reset-source.ts";
import { openOfflineStore, openOnlineStore, type StoresConfig } from "../pipeline/stores.ts";
import { portableError } from "./thread-rpc.ts";

export interface WorkerOptions extends StoresConfig {
  /** Absolute paths of the modules with the declarations. */
  readonly declarations: readonly string[];
  readonly replay: { readonly speed: number | "max"; readonly hold: boolean };
  /** How brokers are reached. Left out: no source needs one. */
  readonly connections?: ConnectionsConfig;
  /** Sources that Apache Beam reads. Left out: none. */
  readonly beam?: readonly string[];
  /** How long history is kept. Left out: for ever. */
  readonly retention?: Retention;
  /** Above which share of bad messages a source stops. Left out: half of the last 1,000. */
  readonly deadLetters?: DeadLetterThresholds;
  /** How many threads compute the windows of training sets. Left out: one per core, at most 4. */
  readonly history?: { readonly threads: number };
  /** Between looks at the outcomes of predictions. Left out or 0: only when they are asked for. */
  readonly outcomeSeconds?: number;
  /** False: no source is read; pushed events are taken all the same. */
  readonly ingest: boolean;
}

/** What the main thread may ask of the pipeline's thread. */
export type WorkerMethods = LifecycleBackend &
  TrainingJobs & {
    /** Applies the plan, folds what the hot store lacks, starts the sources. Resolves when every view is ready. */
    readonly start: () => Promise<void>;
    /**
     * Reads the modules again and fills what is new in them from history, while everything goes on.
     * @throws `DECLARATIONS_INVALID`, `PLAN_BREAKING`
     */
    readonly prepare: (declarations: readonly string[], revision: number) => Promise<PlanPreview>;
    /** Resolves when every source that begins at a moment has caught up, or `giveUp` was called. */
    readonly caughtUp: () => Promise<void>;
    /** Ends all waiting for sources to catch up: a `prepare` under way fails. */
    readonly giveUp: () => void;
    /** Goes on with what was prepared, and records its plan. */
    readonly change: () => Promise<void>;
    /** Drops what only the declarations before the last change had. */
    readonly dropOld: () => Promise<void>;
    readonly push: (source: string, events: PushedEvents, options: PushOptions) => Promise<PushResult>;
    readonly advanceTo: (time: number) => Promise<void>;
    readonly release: () => void;
    readonly finished: () => Promise<void>;
    readonly status: () => Promise<PipelineStatus>;
    readonly trainingSet: (
      service: string,
      request: TrainingSetRequest,
      format: "parquet" | "csv" | "arrow" | "rows",
    ) => Promise<TrainingSetAnswer>;
    readonly deadLetters: (filter: { source?: string; limit: number }) => Promise<readonly StoredDeadLetter[]>;
    readonly removeDeadLetters: (ids: readonly number[]) => Promise<void>;
    readonly resetSource: (source: string, to: ResetTo, dryRun: boolean) => Promise<readonly ResetPartition[]>;
    readonly plan: () => Promise<PlanPreview>;
    readonly applied: () => Promise<AppliedPlan | null>;
    /** Compares the hot store with history for a sample of entities of a view, or of every view. */
    readonly checkConsistency: (view: string | null, sample: number) => Promise<readonly ConsistencyReport[]>;
    /** The thread's metrics in the exposition format that `accept` asks for. Only where the thread has metrics. */
    readonly metrics: (accept: string) => Promise<string>;
    readonly close: () => Promise<void>;
    /** Closes the stores and nothing else, when the thread is about to end. */
    readonly abandon: () => Promise<void>;
  };

export interface TrainingSetAnswer {
  /** The file's bytes; null for `rows`. */
  readonly bytes: Uint8Array | null;
  readonly columns: readonly { readonly name: string; readonly kind: string; readonly item: ColumnTypeSpec | null }[];
  readonly rows: readonly (readonly unknown[])[] | null;
  readonly manifest: TrainingManifest;
}

/** Opens the stores and makes the pipeline of the declarations. `tell` reports failures and bad functions. */
export async function createWorkerMethods(
  options: WorkerOptions,
  tell: (notice: string, value: unknown) => void,
): Promise<Omit<WorkerMethods, "metrics">> {
  const declared = await loadDeclarations(options.declarations);
  await using stack = new AsyncDisposableStack();
  const online = stack.use(await openOnlineStore(options));
  const offline = stack.use(await openOfflineStore(options));
  const shared = areShared(options);
  const retention = options.retention ?? null;
  const holder = shared ? crypto.randomUUID() : null;
  const onFunctionFailure = (where: string): void => tell("function-failed", where);
  const featureStoreOf = (declarations: Declarations): FeatureStore =>
    createFeatureStore({
      ...declarations,
      online,
      offline,
      now: Date.now,
      onFunctionFailure,
      ...(options.history === undefined ? {} : { historyThreads: options.history.threads }),
    });
  const runs = createPipelineSwitch({
    declarations: declared,
    make: (declarations) =>
      createPipeline({
        ...declarations,
        online,
        offline,
        replay: options.replay,
        ...(options.connections === undefined ? {} : { connections: options.connections }),
        ...(options.beam === undefined ? {} : { beam: options.beam }),
        holder,
        retention,
        ...(options.deadLetters === undefined ? {} : { deadLetters: options.deadLetters }),
        filesFolder: join(options.data, "files"),
        onFunctionFailure,
        onFailure: (source, error) =>
          tell("source-failed", { source, message: error instanceof Error ? error.message : String(error) }),
      }),
    start: (pipeline) => pipeline.start(options.ingest ? "all" : "pushed"),
    record: async (declarations) => {
      await applyPlan(offline, declarations);
    },
    reads: options.ingest,
  });
  const stopping = new AbortController();
  let store = featureStoreOf(declared);
  const lifecycle = createLifecycle({
    online,
    offline,
    current: () => ({ declarations: runs.declarations, store }),
    ...(options.beam === undefined ? {} : { beam: options.beam }),
    ...(options.deadLetters === undefined ? {} : { deadLetters: options.deadLetters }),
    onFailure: (what, error) => tell("background-failed", { what, ...portableError(error) }),
  });
  const watch = createOutcomeWatch({
    online,
    offline,
    declarations: () => runs.declarations,
    everyMs: (options.outcomeSeconds ?? 0) * 1_000,
    onFunctionFailure,
    onFailure: (error) => tell("background-failed", { what: "outcomes", ...portableError(error) }),
    now: Date.now,
  });
  const jobs = trainingJobs({ folder: join(options.data, "training-sets"), store: () => store, offline });
  let prepared: Declarations | null = null;
  let closing: Promise<void> | null = null;
  const open = stack.move();
  return {
    ...lifecycle.methods,
    ...jobs,
    outcomes: watch.outcomes,
    async start() {
      checkRetention(retention, declared, offline);
      // Where others use the stores too, a plan is recorded by an explicit act; the first one there is.
      if (shared && (await currentPlan(offline)) !== null) await checkPlan(offline, declared);
      else await applyPlan(offline, declared);
      await lifecycle.beforeFill();
      await runs.pipeline.recover();
      await lifecycle.afterFill();
      if (!shared) await runs.pipeline.dropOthers();
      await runs.pipeline.start(options.ingest ? "all" : "pushed");
      watch.start();
    },
    async prepare(paths, revision) {
      prepared = null;
      const declarations = await loadDeclarations(paths, revision);
      checkRetention(retention, declarations, offline);
      const preview = await checkPlan(offline, declarations);
      await extendErasures({ declarations, offline });
      await runs.prepare(declarations, stopping.signal);
      prepared = declarations;
      return preview;
    },
    async caughtUp() {
      await runs.pipeline.caughtUp(stopping.signal);
    },
    giveUp: () => stopping.abort(),
    async change() {
      if (prepared === null) throw millraceError("BUG", "Nothing was prepared.", { kind: "bug" });
      await runs.change(prepared);
      store = featureStoreOf(prepared);
      prepared = null;
      await lifecycle.afterFill();
    },
    async dropOld() {
      // Another process may serve them.
      if (!shared) await runs.use((pipeline) => pipeline.dropOthers());
    },
    push: (source, events, pushOptions) => runs.use((pipeline) => pipeline.push(source, events, pushOptions)),
    async advanceTo(time) {
      // A held replay may wait for long: it does not keep a change waiting.
      for (let asked = null; asked !== runs.pipeline; ) {
        asked = await runs.use(async (pipeline) => pipeline);
        await asked.advanceTo(time);
      }
    },
    release: () => runs.pipeline.release(),
    async finished() {
      for (let asked = null; asked !== runs.pipeline; ) {
        asked = await runs.use(async (pipeline) => pipeline);
        await asked.finished();
      }
    },
    status: () => runs.pipeline.status(),
    async trainingSet(service, request, format) {
      const { columns, rows, manifest } = await createTrainingSet(store, service, request);
      return {
        bytes: format === "rows" ? null : await encodeFrame(format, { columns, rows }, manifest),
        columns: columns.map(({ name, type }) => ({ name, kind: type.kind, item: type.item ?? null })),
        rows: format === "rows" ? rows : null,
        manifest,
      };
    },
    deadLetters: (filter) => offline.deadLetters(filter),
    removeDeadLetters: (ids) => offline.removeDeadLetters(ids),
    resetSource: (name, to, dryRun) =>
      resetSource({
        source: sourceOf(runs.declarations, name),
        to,
        dryRun,
        offline,
        connections: options.connections ?? {},
        isRead: options.ingest,
        shared,
      }),
    plan: () => previewPlan(offline, runs.declarations),
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
    abandon: () => open.disposeAsync(),
    close() {
      stopping.abort();
      closing ??= (async () => {
        try {
          await watch.close();
          await jobs.closeTrainingJobs();
          await lifecycle.close();
          await runs.close();
        } finally {
          await open.disposeAsync();
        }
      })();
      return closing;
    },
  };
}

function sourceOf({ sources }: Declarations, name: string): SourceMeta {
  const found = sources.find((source) => source.name === name);
  if (found !== undefined) return found;
  throw millraceError(
    "SOURCE_UNKNOWN",
    `There is no source '${name}': declared are ${sources.map((source) => source.name).join(", ")}.`,
  );
}

function viewOf(store: FeatureStore, name: string): ViewRuntime {
  const found = store.views.get(name);
  if (found !== undefined) return found;
  throw millraceError(
    "VIEW_UNKNOWN",
    `There is no feature view '${name}': declared are ${[...store.views.keys()].join(", ")}.`,
  );
}
