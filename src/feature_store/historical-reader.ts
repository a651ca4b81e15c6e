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
import type { OfflineStore } from "./offline/offline-store.ts";
import type { ServiceLookup, ServiceRuntime } from "./service-runtime.ts";
import type { ViewRuntime } from "./view-runtime.ts";

export type Knowledge = "event_time" | "ingested_at";

/** One row to be looked up in the past. */
export interface HistoricalLookup {
  /** In the order of `service.lookup`. */
  readonly lookup: readonly Value[];
  /** t, epoch milliseconds. */
  readonly time: number;
  /** What transforms learn from, in the order of `CompiledRow.labels`; needed only where they are fitted on the row. */
  readonly labels?: readonly Value[];
}

/** The inputs of rows, before transforms, as they were at each row's time. */
export interface HistoricalInputs {
  readonly inputs: Value[][];
  readonly statuses: FeatureStatus[][];
}

/**
 * Computes the inputs of each row from raw events: for each view, the events of each key are folded in the order in
 * which a reader learns of them, and the view is read at each row's time on the way. The same code as online.
 */
export async function readHistory(
  store: OfflineStore,
  service: ServiceRuntime,
  rows: readonly HistoricalLookup[],
  knowledge: Knowledge,
): Promise<HistoricalInputs> {
  const inputs = rows.map(() => new Array<Value>(service.inputCount).fill(null));
  const statuses = rows.map(() => new Array<FeatureStatus>(service.inputCount).fill("PRESENT"));
  for (let row = 0; row < rows.length; row++) {
    for (const { index, slot } of service.requests) {
      const value = rows[row]!.lookup[index]!;
      inputs[row]![slot] = value;
      if (value === null) statuses[row]![slot] = "NULL_VALUE";
    }
  }
  for (const lookup of service.lookups) await readLookup(store, lookup, rows, knowledge, inputs, statuses);
  return { inputs, statuses };
}

/** Every feature of a view, for each key, at one moment, from raw events. */
export async function readViewHistory(
  store: OfflineStore,
  runtime: ViewRuntime,
  keys: readonly (readonly Value[])[],
  time: number,
): Promise<{ readonly values: readonly Value[]; readonly statuses: readonly FeatureStatus[] }[]> {
  const lookup: ServiceLookup = {
    runtime,
    keyIndexes: runtime.layout.keyTypes.map((_, index) => index),
    reads: runtime.layout.features.map((_, index) => ({ feature: index, slot: index })),
  };
  const inputs = keys.map(() => new Array<Value>(lookup.reads.length).fill(null));
  const statuses = keys.map(() => new Array<FeatureStatus>(lookup.reads.length).fill("NOT_FOUND"));
  await readLookup(
    store,
    lookup,
    keys.map((key) => ({ lookup: key, time })),
    "event_time",
    inputs,
    statuses,
  );
  return inputs.map((values, i) => ({ values, statuses: statuses[i]! }));
}

/** Tiles that no later row needs are dropped after this many events. */
const PRUNE_EVERY = 4_096;

async function readLookup(
  store: OfflineStore,
  lookup: ServiceLookup,
  rows: readonly HistoricalLookup[],
  knowledge: Knowledge,
  inputs: Value[][],
  statuses: FeatureStatus[][],
): Promise<void> {
  const { layout } = lookup.runtime;
  const wanted = new Map<string | null, { key: Value[]; rows: number[] }>();
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < rows.length; row++) {
    const values = rows[row]!.lookup;
    const id = keyText(values, lookup.keyIndexes);
    const group = wanted.get(id);
    if (group !== undefined) group.rows.push(row);
    else wanted.set(id, { key: lookup.keyIndexes.map((index) => values[index]!), rows: [row] });
    first = Math.min(first, rows[row]!.time);
    last = Math.max(last, rows[row]!.time);
  }
  if (wanted.size === 0) return;
  for (const group of wanted.values()) group.rows.sort((a, b) => rows[a]!.time - rows[b]!.time);

  const evaluated = createEvaluatedEvent(layout);
  const reading = createViewReading(layout);
  let state = createEntityState(layout);
  const none: { id: string | null; rows: readonly number[]; next: number } = { id: null, rows: [], next: 0 };
  let current = none;
  let folded = 0;

  const readRow = (row: number): void => {
    readFeatures(layout, state, rows[row]!.time, reading);
    for (const { feature, slot } of lookup.reads) {
      inputs[row]![slot] = reading.values[feature]!;
      statuses[row]![slot] = reading.statuses[feature]!;
    }
  };
  const readUntil = (known: number): void => {
    while (current.next < current.rows.length && rows[current.rows[current.next]!]!.time < known) {
      readRow(current.rows[current.next++]!);
    }
  };
  const start = (id: string): void => {
    readUntil(Number.POSITIVE_INFINITY);
    state = createEntityState(layout);
    folded = 0;
    current = { id, rows: wanted.get(id)!.rows, next: 0 };
    wanted.delete(id);
  };

  const reach = layout.reachMs;
  const history = store.history({
    source: layout.view.source.name,
    keyColumns: layout.view.keyColumns,
    keys: [...wanted.values()].map((group) => group.key).filter((key) => !key.includes(null)),
    from: reach === Number.POSITIVE_INFINITY ? null : first - reach,
    before: last,
    knowledge,
  });
  for await (const events of history) {
    for (const event of events) {
      // History gives no events with a null key.
      const id = keyText(event.row, layout.keyIndexes)!;
      if (current.id !== id) start(id);
      readUntil(knownFrom(event, knowledge));
      if (++folded % PRUNE_EVERY === 0 && current.next < current.rows.length) {
        pruneState(layout, state, rows[current.rows[current.next]!]!.time);
      }
      evaluateEvent(layout, event.row, evaluated);
      foldEvent(layout, state, event, evaluated, Number.NEGATIVE_INFINITY);
    }
  }
  readUntil(Number.POSITIVE_INFINITY);
  // Keys without any event.
  state = createEntityState(layout);
  for (const group of wanted.values()) for (const row of group.rows) readRow(row);
}

/** The first t at which a reader counts the event. */
function knownFrom(event: LoggedEvent, knowledge: Knowledge): number {
  return knowledge === "event_time" ? event.eventTime + 1 : Math.max(event.eventTime + 1, event.ingestedAt);
}
