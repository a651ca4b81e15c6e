import { channel } from "node:diagnostics_channel";
import { millraceError } from "../definitions/errors.ts";
import type { FeatureServiceMeta } from "../definitions/feature-service.ts";
import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import type { Value } from "../definitions/value.ts";
import type { ServiceColumn } from "../feature_engineering/plan/service-columns.ts";
import type { RowTransform } from "../feature_engineering/transforms/compile-row.ts";
import type { FittedState } from "../feature_engineering/transforms/fitted-state.ts";
import { fitRows, type TrainingRowTransform } from "../feature_engineering/transforms/fitter.ts";
import type { FeatureStatus } from "../feature_engineering/windows/read-features.ts";
import type { EntityReading } from "./cached-reader.ts";
import { ONLINE_READ_CHANNEL, type OnlineReadEvent } from "./channels.ts";
import { createFeatureLists } from "./feature-list.ts";
import { type HistoricalInputs, statusOf } from "./historical-inputs.ts";
import { type Knowledge, readHistory } from "./historical-reader.ts";
import type { LabelFrame } from "./label-groups.ts";
import { checkLabels } from "./labels.ts";
import type { OfflineStore } from "./offline/offline-store.ts";
import { valueAt } from "./offline/point-in-time.ts";
import type { OnlineStore } from "./online/online-store.ts";
import { createOnlineReader, type OnlineInputs, type OnlineReadOptions } from "./online-reader.ts";
import { createServiceRuntime, type ServiceRuntime } from "./service-runtime.ts";
import { readSourceClock } from "./source-clock.ts";
import { createViewRuntime, type ViewRuntime } from "./view-runtime.ts";

/** Entity keys and request columns by name; or their values, checked, in the order of the service's lookup. */
export type LookupRow = Readonly<Record<string, unknown>> | readonly Value[];

export interface OnlineRequest {
  /** One lookup per row. */
  readonly rows: readonly LookupRow[];
  /** The moment t to read at, epoch milliseconds. Default: the sources' clock, taken once. */
  readonly asOf?: number;
  /** Refuse the read if an event at or after t was applied. Default: answer, and flag the row `head_overlap`. */
  readonly exact?: boolean;
  /** What the service's transforms learned; needed if any is fitted. */
  readonly fitted?: FittedState | null;
  /** Told what was read, before transforms: for the prediction log. */
  readonly onRead?: (read: OnlineRead) => void;
}

/** What a request read. */
export interface OnlineRead {
  readonly runtime: ServiceRuntime;
  /** Per row, in the order of `service.lookup`. */
  readonly lookups: readonly (readonly Value[])[];
  readonly asOf: number;
  readonly inputs: OnlineInputs;
}

export interface FeatureRows {
  readonly service: string;
  readonly columns: readonly ServiceColumn[];
  /** One value per column. */
  readonly rows: readonly (readonly Value[])[];
  readonly statuses: readonly (readonly FeatureStatus[])[];
}

export interface OnlineFeatures extends FeatureRows {
  /** t, epoch milliseconds. */
  readonly asOf: number;
  /** Per row: an event at or after t was applied, so the value may hold more than the window. */
  readonly headOverlap: readonly boolean[];
  /** Per row and lookup of the service, row by row. */
  readonly readings: readonly EntityReading[];
}

/** One row to be looked up in the past. */
export interface HistoricalLookup {
  /** In the order of `service.lookup`. */
  readonly lookup: readonly Value[];
  /** t, epoch milliseconds. */
  readonly time: number;
  /** What transforms learn from, in the order of `CompiledRow.labels`; needed only where they are fitted on the row. */
  readonly labels?: readonly Value[];
}

export interface HistoricalRequest {
  readonly rows: readonly HistoricalLookup[];
  /** Count what had happened by t (`event_time`, default), or only what had also arrived by t (`ingested_at`). */
  readonly knowledge?: Knowledge;
  /** Fit the service's transforms on these rows, or apply what was fitted before. Default: fit. */
  readonly fitted?: FittedState;
}

export interface HistoricalFeatures extends FeatureRows {
  /** What the transforms learned or were given. */
  readonly fitted: FittedState;
}

export interface FeatureStoreOptions {
  readonly views: readonly FeatureViewMeta[];
  readonly services: readonly FeatureServiceMeta[];
  readonly online: OnlineStore;
  /** Null where history cannot be read (another process owns it). */
  readonly offline: OfflineStore | null;
  /** The wall clock; epoch milliseconds. */
  readonly now: () => number;
  /** Deadline, fallback and caches of reads from the hot store. Default: none. */
  readonly reads?: OnlineReadOptions;
  /** How many threads compute the windows of a training set. Default: one per core, at most 4. */
  readonly historyThreads?: number;
  /** Called when a derive or where function fails on a row. */
  readonly onFunctionFailure?: (where: string) => void;
}

/** Reads features: of now from the hot store, of any moment from history. */
export interface FeatureStore {
  readonly views: ReadonlyMap<string, ViewRuntime>;
  readonly services: ReadonlyMap<string, ServiceRuntime>;
  /** @throws `SERVICE_UNKNOWN` */
  service(name: string): ServiceRuntime;
  /**
   * The features of a list (`view:feature`), each once and in order, as a service without a name of its own: its columns
   * are called `view:feature`, its lookup holds the keys of the views' entities. @throws `FEATURE_LIST_INVALID`,
   * `VIEW_UNKNOWN`, `FEATURE_UNKNOWN`
   */
  featureList(features: readonly string[]): ServiceRuntime;
  /** @throws `LOOKUP_…`, `AS_OF_TOO_OLD`, `AS_OF_TOO_EARLY`, `NOT_FITTED`, `SERVICE_UNKNOWN` */
  getOnlineFeatures(service: string | ServiceRuntime, request: OnlineRequest): Promise<OnlineFeatures>;
  getHistoricalFeatures(service: string, request: HistoricalRequest): Promise<HistoricalFeatures>;
  /** The inputs of a frame's rows from history, before transforms. */
  readInputs(
    service: ServiceRuntime,
    frame: LabelFrame,
    knowledge: Knowledge,
    signal?: AbortSignal,
  ): Promise<HistoricalInputs>;
  /** The moment that a request without `as_of` reads at: the wall clock, or of replayed sources their stream clock. */
  now(service: ServiceRuntime): Promise<number>;
}

const reads = channel(ONLINE_READ_CHANNEL);

export function createFeatureStore(options: FeatureStoreOptions): FeatureStore {
  const { online, offline } = options;
  const failed = options.onFunctionFailure ?? (() => {});
  const views = new Map(options.views.map((view) => [view.name, createViewRuntime(view, failed)]));
  const runtimeOf = (name: string): ViewRuntime => views.get(name)!;
  const services = new Map(options.services.map((s) => [s.name, createServiceRuntime(s, runtimeOf, failed)]));
  const reader = createOnlineReader(online, options.now, options.reads);
  /** Per service and fitted state: models whose versions alternate have one each. */
  const binds = new WeakMap<ServiceRuntime, WeakMap<object, RowTransform>>();

  function service(name: string): ServiceRuntime {
    const found = services.get(name);
    if (found === undefined) {
      throw millraceError(
        "SERVICE_UNKNOWN",
        `There is no feature service '${name}': declared are ${[...services.keys()].join(", ") || "none"}.`,
      );
    }
    return found;
  }

  function bind(runtime: ServiceRuntime, fitted: FittedState | null): RowTransform {
    const known = binds.get(runtime) ?? new WeakMap<object, RowTransform>();
    binds.set(runtime, known);
    const make = known.get(fitted ?? runtime) ?? runtime.row.bind(fitted);
    known.set(fitted ?? runtime, make);
    return make;
  }

  const now = (runtime: ServiceRuntime): Promise<number> => readSourceClock(online, runtime.sources, options.now);

  function statusesOf(
    runtime: ServiceRuntime,
    row: readonly Value[],
    inputs: readonly FeatureStatus[],
    allKnown = true,
  ): FeatureStatus[] {
    return runtime.statusSlots.map((slot, column) => {
      if (slot >= 0) return inputs[slot]!;
      // What is computed from something that is not known is not known either.
      if (!allKnown && runtime.computedFrom[column]!.some((input) => inputs[input] === "UNAVAILABLE")) {
        return "UNAVAILABLE";
      }
      return row[column] === null ? "NULL_VALUE" : "PRESENT";
    });
  }

  /** Of rows that were given what was learned before, the function that serves; else the training set's own. */
  async function fit(
    runtime: ServiceRuntime,
    { rows, fitted }: HistoricalRequest,
    inputs: readonly (readonly Value[])[],
  ): Promise<{ readonly fitted: FittedState; readonly make: TrainingRowTransform }> {
    if (fitted !== undefined) return { fitted, make: runtime.row.bind(fitted) };
    const { labels } = runtime.row;
    checkLabels(
      runtime.service.name,
      labels,
      rows.map((row) => row.labels),
    );
    const fitter = await fitRows(runtime.row, function* () {
      for (const [index, row] of inputs.entries()) yield { inputs: row, labels: rows[index]!.labels ?? [] };
    });
    return { fitted: fitter.finish(), make: fitter.trainingRows() };
  }

  async function readInputs(
    runtime: ServiceRuntime,
    frame: LabelFrame,
    knowledge: Knowledge,
    signal?: AbortSignal,
  ): Promise<HistoricalInputs> {
    if (offline === null) {
      throw millraceError("HISTORY_UNAVAILABLE", "This process has no cold store: ask the process that owns it.", {
        kind: "operational",
      });
    }
    return readHistory(offline, runtime, frame, knowledge, {
      ...(options.historyThreads === undefined ? {} : { threads: options.historyThreads }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  return {
    views,
    services,
    service,
    readInputs,
    featureList: createFeatureLists((view) => views.get(view)),
    now,
    async getOnlineFeatures(asked, request) {
      const runtime = typeof asked === "string" ? service(asked) : asked;
      const { name } = runtime.service;
      const make = bind(runtime, request.fitted ?? null);
      const lookups = request.rows.map((row) => (isRead(row) ? row : runtime.readLookup(row)));
      const started = reads.hasSubscribers ? performance.now() : 0;
      const read = await reader.read(runtime, lookups, request.asOf ?? null, request.exact ?? false);
      request.onRead?.({ runtime, lookups, asOf: read.time, inputs: read });
      const rows = runtime.isPlain ? read.inputs : read.inputs.map(make);
      if (reads.hasSubscribers) {
        reads.publish({
          service: name,
          rows: rows.length,
          hits: read.hits,
          misses: read.misses,
          unavailable: read.unavailable,
          cacheHits: read.cacheHits,
          cacheMisses: read.cacheMisses,
          cacheAgeSeconds: read.cacheAgeSeconds,
          headOverlaps: read.headOverlap.filter(Boolean).length,
          seconds: (performance.now() - started) / 1_000,
          inputViews: runtime.inputViews,
          statuses: () => read.statuses,
        } satisfies OnlineReadEvent);
      }
      return {
        service: name,
        columns: runtime.row.columns,
        rows,
        statuses: runtime.isPlain
          ? read.statuses
          : rows.map((row, i) => statusesOf(runtime, row, read.statuses[i]!, read.unavailable === 0)),
        asOf: read.time,
        headOverlap: read.headOverlap,
        readings: read.readings,
      };
    },
    async getHistoricalFeatures(name, request) {
      const runtime = service(name);
      const { rows: lookups, knowledge = "event_time" } = request;
      const read = await readInputs(runtime, frameOf(runtime, lookups), knowledge);
      const inputs = lookups.map((_, row) => read.values.map((column) => valueAt(column, row)));
      const { fitted, make } = await fit(runtime, request, inputs);
      const rows = inputs.map(make);
      return {
        service: name,
        columns: runtime.row.columns,
        rows,
        statuses: rows.map((row, i) =>
          statusesOf(
            runtime,
            row,
            read.statuses.map((codes) => statusOf(codes[i]!)),
          ),
        ),
        fitted,
      };
    },
  };
}

function isRead(row: LookupRow): row is readonly Value[] {
  return Array.isArray(row);
}

function frameOf(runtime: ServiceRuntime, rows: readonly HistoricalLookup[]): LabelFrame {
  return {
    count: rows.length,
    lookup: runtime.service.lookup.map((_, index) => rows.map((row) => row.lookup[index]!)),
    times: Float64Array.from(rows, (row) => row.time),
  };
}
