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
import { groupLabels, type LabelFrame, type LabelGroups } from "./label-groups.ts";
import { readLatest, readsLatestOnly } from "./latest-reader.ts";
import type { OfflineStore } from "./offline/offline-store.ts";
import type { ServiceLookup, ServiceRuntime } from "./service-runtime.ts";
import type { ViewRuntime } from "./view-runtime.ts";
import { readWindows } from "./window-reader.ts";

export type Knowledge = "event_time" | "ingested_at";

/** The inputs of a frame's rows, before transforms, as they were at each row's time; per input slot, one per row. */
export interface HistoricalInputs {
  readonly values: Value[][];
  readonly statuses: FeatureStatus[][];
}

/**
 * Computes the inputs of each row from raw events, with the same code as online. A store that reads in columns gives
 * each label's latest event, or the events of its windows; else, and by arrival, the events of each key are folded in
 * the order in which a reader learns of them, and the view is read at each row's time on the way.
 */
export async function readHistory(
  store: Pick<OfflineStore, "history" | "pointInTime">,
  service: ServiceRuntime,
  frame: LabelFrame,
  knowledge: Knowledge,
): Promise<HistoricalInputs> {
  const inputs = createInputs(service.inputCount, frame.count);
  for (const { index, slot } of service.requests) {
    for (let row = 0; row < frame.count; row++) {
      const value = frame.lookup[index]![row]!;
      inputs.values[slot]![row] = value;
      inputs.statuses[slot]![row] = value === null ? "NULL_VALUE" : "PRESENT";
    }
  }
  for (const lookup of service.lookups) await readLookup(store, lookup, frame, knowledge, inputs);
  return inputs;
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
  const inputs = createInputs(lookup.reads.length, keys.length);
  const frame: LabelFrame = {
    count: keys.length,
    lookup: lookup.keyIndexes.map((index) => keys.map((key) => key[index]!)),
    times: new Float64Array(keys.length).fill(time),
  };
  await readLookup(store, lookup, frame, "event_time", inputs);
  return keys.map((_, row) => ({
    values: inputs.values.map((column) => column[row]!),
    statuses: inputs.statuses.map((column) => column[row]!),
  }));
}

function createInputs(slots: number, rows: number): HistoricalInputs {
  return {
    values: Array.from({ length: slots }, () => new Array<Value>(rows).fill(null)),
    statuses: Array.from({ length: slots }, () => new Array<FeatureStatus>(rows).fill("NOT_FOUND")),
  };
}

async function readLookup(
  store: Pick<OfflineStore, "history" | "pointInTime">,
  lookup: ServiceLookup,
  frame: LabelFrame,
  knowledge: Knowledge,
  into: HistoricalInputs,
): Promise<void> {
  const labels = groupLabels(frame, lookup.keyIndexes);
  if (labels.keys.length > 0) {
    const { pointInTime } = store;
    if (pointInTime === undefined || knowledge !== "event_time") {
      await readFolding(store, lookup, labels, knowledge, into);
    } else if (readsLatestOnly(lookup)) {
      await readLatest(pointInTime, lookup, labels, into);
    } else {
      await readWindows(pointInTime, lookup, labels, into);
    }
  }
  // Rows of no entity read as one without events.
  const { layout } = lookup.runtime;
  const nobody = createViewReading(layout);
  readFeatures(layout, createEntityState(layout), 0, nobody);
  for (const row of labels.orphans) {
    for (const { feature, slot } of lookup.reads) {
      into.values[slot]![row] = nobody.values[feature]!;
      into.statuses[slot]![row] = nobody.statuses[feature]!;
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
        into.values[slot]![row] = reading.values[feature]!;
        into.statuses[slot]![row] = reading.statuses[feature]!;
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
