import { availableParallelism } from "node:os";
import type { Value } from "../definitions/value.ts";
import { keyText } from "../feature_engineering/encoding/key-text.ts";
import type { LoggedEvent } from "../feature_engineering/engine/event-log.ts";
import { createEntityState } from "../feature_engineering/windows/entity-state.ts";
import {
  createEvaluatedEvent,
  evaluateEvent,
  foldEvent,
  pruneState,
} from "../feature_engineering/windows/fold-event.ts";
import { createViewReading, type FeatureStatus, readFeatures } from "../feature_engineering/windows/read-features.ts";
import {
  codeOf,
  createHistoricalInputs,
  type HistoricalInputs,
  NULL_VALUE,
  PRESENT,
  putValue,
  statusOf,
} from "./historical-inputs.ts";
import { groupLabels, type LabelFrame, type LabelGroups } from "./label-groups.ts";
import { readLatest, readsLatestOnly } from "./latest-reader.ts";
import type { OfflineStore } from "./offline/offline-store.ts";
import { valueAt } from "./offline/point-in-time.ts";
import type { ServiceLookup, ServiceRuntime } from "./service-runtime.ts";
import type { ViewRuntime } from "./view-runtime.ts";
import { windowFolds } from "./window-folds.ts";
import { readWindows } from "./window-reader.ts";

export type Knowledge = "event_time" | "ingested_at";

export interface HistoryReadOptions {
  /** How many threads compute windows, from 1 (the caller's own). Default: one per core, at most 4. */
  readonly threads?: number;
  /** As `WindowFoldOptions`. */
  readonly threadedFrom?: number;
  /** Ends the reading, which throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Computes the inputs of each row from raw events, with the same code as online. A store that reads in columns gives
 * each label's latest event, or the events of its windows; else, and by arrival, the events of each key are folded in
 * the order in which a reader learns of them, and the view is read at each row's time on the way.
 *
 * @throws `HISTORY_THREAD_FAILED`; what the store throws
 */
export async function readHistory(
  store: Pick<OfflineStore, "history" | "pointInTime">,
  service: ServiceRuntime,
  frame: LabelFrame,
  knowledge: Knowledge,
  options: HistoryReadOptions = {},
): Promise<HistoricalInputs> {
  const { featureInputs, requestInputs } = service.row;
  const inputs = createHistoricalInputs(
    [...featureInputs, ...requestInputs].sort((a, b) => a.slot - b.slot).map(({ type }) => type),
    frame.count,
  );
  for (const { index, slot } of service.requests) {
    for (let row = 0; row < frame.count; row++) {
      const value = frame.lookup[index]![row]!;
      putValue(inputs.values[slot]!, row, value);
      inputs.statuses[slot]![row] = value === null ? NULL_VALUE : PRESENT;
    }
  }
  await readLookups(store, service.lookups, frame, knowledge, inputs, options);
  return inputs;
}

/** How many threads compute windows where nothing else is said. */
export function historyThreads(): number {
  return Math.min(availableParallelism(), 4);
}

/** Every feature of a view, for each key, at one moment, from raw events. */
export async function readViewHistory(
  store: OfflineStore,
  runtime: ViewRuntime,
  keys: readonly (readonly Value[])[],
  time: number,
): Promise<{ readonly values: readonly Value[]; readonly statuses: readonly FeatureStatus[] }[]> {
  const { view, keyTypes, features } = runtime.layout;
  const lookup: ServiceLookup = {
    runtime,
    keyIndexes: keyTypes.map((_, index) => index),
    reads: features.map((_, index) => ({ feature: index, slot: index })),
  };
  const inputs = createHistoricalInputs(
    view.features.map(({ type }) => type),
    keys.length,
  );
  const frame: LabelFrame = {
    count: keys.length,
    lookup: lookup.keyIndexes.map((index) => keys.map((key) => key[index]!)),
    times: new Float64Array(keys.length).fill(time),
  };
  await readLookups(store, [lookup], frame, "event_time", inputs, {});
  return keys.map((_, row) => ({
    values: inputs.values.map((column) => valueAt(column, row)),
    statuses: inputs.statuses.map((codes) => statusOf(codes[row]!)),
  }));
}

async function readLookups(
  store: Pick<OfflineStore, "history" | "pointInTime">,
  lookups: readonly ServiceLookup[],
  frame: LabelFrame,
  knowledge: Knowledge,
  into: HistoricalInputs,
  { threads = historyThreads(), ...options }: HistoryReadOptions,
): Promise<void> {
  const { pointInTime } = store;
  const folds = windowFolds({ threads, ...options });
  async function read(lookup: ServiceLookup): Promise<void> {
    options.signal?.throwIfAborted();
    const labels = groupLabels(frame, lookup.keyIndexes);
    readNobody(lookup, labels.orphans, into);
    if (labels.keys.length === 0) return;
    if (pointInTime === undefined || knowledge !== "event_time") {
      await readFolding(store, lookup, labels, knowledge, into);
    } else if (readsLatestOnly(lookup)) {
      await readLatest(pointInTime, lookup, labels, into);
    } else {
      await readWindows(pointInTime, lookup, labels, folds, into);
    }
  }
  // The events of windows are as many as memory takes: one view after another. Latest events are few.
  const isFew = (lookup: ServiceLookup): boolean => knowledge === "event_time" && readsLatestOnly(lookup);
  try {
    for (const lookup of lookups) if (!isFew(lookup)) await read(lookup);
    await atOnce(pointInTime?.readings ?? 1, lookups.filter(isFew), read);
    await folds.finish();
  } finally {
    await folds.close();
  }
}

/** Runs `work` on all items, at most `limit` at a time; the first failure is thrown when none runs any more. */
async function atOnce<Item>(limit: number, items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const left = [...items];
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined && failures.length === 0; item = left.shift()) {
      await work(item).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: limit }, lane));
  if (failures.length > 0) throw failures[0];
}

/** Rows of no entity read as one without events. */
function readNobody(
  { runtime: { layout }, reads }: ServiceLookup,
  rows: readonly number[],
  into: HistoricalInputs,
): void {
  const nobody = createViewReading(layout);
  readFeatures(layout, createEntityState(layout), 0, nobody);
  for (const row of rows) {
    for (const { feature, slot } of reads) {
      putValue(into.values[slot]!, row, nobody.values[feature]!);
      into.statuses[slot]![row] = codeOf(nobody.statuses[feature]!);
    }
  }
}

/** Tiles that no later row needs are dropped after this many events. */
const PRUNE_EVERY = 4_096;

async function readFolding(
  store: Pick<OfflineStore, "history">,
  lookup: ServiceLookup,
  labels: LabelGroups,
  knowledge: Knowledge,
  into: HistoricalInputs,
): Promise<void> {
  const { layout } = lookup.runtime;
  const { starts, times } = labels;
  const wholeKey = layout.keyIndexes.map((_, index) => index);
  const entityOf = new Map(labels.keys.map((key, entity) => [keyText(key, wholeKey), entity]));
  const evaluated = createEvaluatedEvent(layout);
  const reading = createViewReading(layout);
  const seen = new Uint8Array(labels.keys.length);
  let state = createEntityState(layout);
  let current: string | null = null;
  let next = 0;
  let end = 0;
  let folded = 0;

  const readUntil = (known: number): void => {
    for (; next < end && times[next]! < known; next++) {
      readFeatures(layout, state, times[next]!, reading);
      const row = labels.rows[next]!;
      for (const { feature, slot } of lookup.reads) {
        putValue(into.values[slot]!, row, reading.values[feature]!);
        into.statuses[slot]![row] = codeOf(reading.statuses[feature]!);
      }
    }
  };
  const start = (entity: number): void => {
    readUntil(Number.POSITIVE_INFINITY);
    state = createEntityState(layout);
    folded = 0;
    seen[entity] = 1;
    next = starts[entity]!;
    end = starts[entity + 1]!;
  };

  const reach = layout.reachMs;
  const history = store.history({
    source: layout.view.source.name,
    keyColumns: layout.view.keyColumns,
    keys: labels.keys,
    from: reach === Number.POSITIVE_INFINITY ? null : times.reduce((a, b) => Math.min(a, b)) - reach,
    before: times.reduce((a, b) => Math.max(a, b)),
    knowledge,
  });
  for await (const events of history) {
    for (const event of events) {
      // History gives no events with a null key.
      const id = keyText(event.row, layout.keyIndexes);
      if (current !== id) {
        current = id;
        start(entityOf.get(id)!);
      }
      readUntil(knownFrom(event, knowledge));
      if (++folded % PRUNE_EVERY === 0 && next < end) pruneState(layout, state, times[next]!);
      evaluateEvent(layout, event.row, evaluated);
      foldEvent(layout, state, event, evaluated, Number.NEGATIVE_INFINITY);
    }
  }
  readUntil(Number.POSITIVE_INFINITY);
  for (let entity = 0; entity < seen.length; entity++) if (seen[entity] === 0) start(entity);
  readUntil(Number.POSITIVE_INFINITY);
}

/** The first t at which a reader counts the event. */
function knownFrom(event: LoggedEvent, knowledge: Knowledge): number {
  return knowledge === "event_time" ? event.eventTime + 1 : Math.max(event.eventTime + 1, event.ingestedAt);
}
