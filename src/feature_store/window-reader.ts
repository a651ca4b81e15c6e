import { setImmediate } from "node:timers/promises";
import type { Value } from "../definitions/value.ts";
import type { Aggregation } from "../feature_engineering/aggregations/aggregation.ts";
import type { OrderedValue } from "../feature_engineering/aggregations/ordered-value.ts";
import { floorTo } from "../feature_engineering/windows/hop.ts";
import type { FeatureStatus } from "../feature_engineering/windows/read-features.ts";
import type { FeatureRead, ViewLayout } from "../feature_engineering/windows/view-layout.ts";
import { foundFrom } from "./found-from.ts";
import type { HistoricalInputs } from "./historical-reader.ts";
import type { LabelGroups } from "./label-groups.ts";
import { type ColumnValues, type EventShare, firstFrom, type PointInTimeReader } from "./offline/point-in-time.ts";
import type { ServiceLookup } from "./service-runtime.ts";
import { viewColumns } from "./view-columns.ts";

/** Aggregations whose result is of the values alone; the others are given each event's place in the order. */
const ORDER_FREE = new Set(["count", "sum", "mean", "variance", "stddev", "min", "max", "count_distinct"]);
/** Events of a block whose partial aggregate is kept, and blocks of the next larger one. */
const BLOCK = 32;
/** The thread may have a stream to serve: others get a turn so often. */
const YIELD_MS = 20;
const YIELD_ENTITIES = 64;

/** The features that share a state: they aggregate the same values and differ in window or in how they finish. */
interface Group {
  readonly aggregation: Aggregation;
  readonly input: number;
  readonly where: number;
  /** By window, the shortest first; the one of all the past, if any, last. */
  readonly windows: { readonly windowMs: number | null; readonly hopMs: number; readonly reads: Read[] }[];
  /** The partial aggregates of an entity's blocks: per level, by the block's number. */
  readonly blocks: unknown[][];
}

interface Read {
  readonly feature: FeatureRead;
  readonly values: Value[];
  readonly statuses: FeatureStatus[];
}

/**
 * Reads any features of a view from columns of events. For each label the events of its windows are added up from the
 * newest to the oldest, the partial results on the way being the shorter windows; where many events lie between two
 * bounds, partial aggregates of blocks of them are merged. Results do not depend on how events are split or ordered, so
 * these are the values that tiles give.
 */
export async function readWindows(
  store: PointInTimeReader,
  lookup: ServiceLookup,
  labels: LabelGroups,
  into: HistoricalInputs,
): Promise<void> {
  const { layout } = lookup.runtime;
  const columns = viewColumns(
    layout,
    lookup.reads.map(({ feature }) => feature),
  );
  const groups = groupsOf(lookup, into);
  const needsOrder = lookup.reads.some(({ feature }) => !ORDER_FREE.has(layout.features[feature]!.aggregation.name));
  const seen = new Uint8Array(labels.keys.length);
  const shares = store.events({
    source: layout.view.source.name,
    keyColumns: layout.view.keyColumns,
    keys: labels.keys,
    starts: labels.starts,
    times: labels.times,
    reachMs: layout.reachMs,
    columns: columns.columns,
    version: columns.version,
    orders: needsOrder,
  });
  for await (const share of shares) {
    const inputs = columns.inputsOf(share.columns, share.count);
    const wheres = columns.wheresOf(share.columns, share.count);
    await readShare(layout, share, inputs, wheres, groups, labels, seen);
  }
  // Entities without any event.
  const none = createFold(layout, emptyShare, [], [], groups);
  const nothing = new Int32Array(0);
  for (let entity = 0; entity < seen.length; entity++) {
    if (seen[entity] === 0) none(labels, entity, nothing, emptyShare.times, 0, 0);
  }
}

const emptyShare: EventShare = {
  count: 0,
  entities: new Int32Array(0),
  times: new Float64Array(0),
  orders: null,
  columns: [],
};

function groupsOf({ runtime: { layout }, reads }: ServiceLookup, into: HistoricalInputs): Group[] {
  const groups = new Map<string, Group>();
  for (const { feature, slot } of reads) {
    const read = layout.features[feature]!;
    const { aggregation, input, where } = layout.families[read.family]!.slots[read.slot]!;
    const id = `${aggregation.state}|${input}|${where}`;
    let group = groups.get(id);
    if (group === undefined) {
      group = { aggregation, input, where, windows: [], blocks: [] };
      groups.set(id, group);
    }
    let window = group.windows.find(({ windowMs }) => windowMs === read.windowMs);
    if (window === undefined) {
      window = { windowMs: read.windowMs, hopMs: layout.families[read.family]!.hopMs, reads: [] };
      group.windows.push(window);
    }
    window.reads.push({ feature: read, values: into.values[slot]!, statuses: into.statuses[slot]! });
  }
  for (const { windows } of groups.values()) {
    windows.sort((a, b) => (a.windowMs ?? Number.POSITIVE_INFINITY) - (b.windowMs ?? Number.POSITIVE_INFINITY));
  }
  return [...groups.values()];
}

async function readShare(
  layout: ViewLayout,
  share: EventShare,
  inputs: readonly (ColumnValues | null)[],
  wheres: readonly (Uint8Array | null)[],
  groups: readonly Group[],
  labels: LabelGroups,
  seen: Uint8Array,
): Promise<void> {
  const { count, entities, times } = share;
  const ends = new Int32Array(labels.keys.length + 1);
  for (let event = 0; event < count; event++) ends[entities[event]! + 1]!++;
  for (let entity = 0; entity < labels.keys.length; entity++) ends[entity + 1]! += ends[entity]!;
  const next = ends.slice(0, labels.keys.length);
  const positions = new Int32Array(count);
  for (let event = 0; event < count; event++) positions[next[entities[event]!]!++] = event;
  const sorted = new Float64Array(count);
  for (let i = 0; i < count; i++) sorted[i] = times[positions[i]!]!;
  const fold = createFold(layout, share, inputs, wheres, groups);
  let since = performance.now();
  for (let entity = 0; entity < labels.keys.length; entity++) {
    const from = ends[entity]!;
    const to = ends[entity + 1]!;
    if (from === to) continue;
    seen[entity] = 1;
    if (!ascends(sorted, from, to)) {
      positions.subarray(from, to).sort((a, b) => times[a]! - times[b]!);
      for (let i = from; i < to; i++) sorted[i] = times[positions[i]!]!;
    }
    fold(labels, entity, positions, sorted, from, to);
    if (entity % YIELD_ENTITIES === 0 && performance.now() - since > YIELD_MS) {
      await setImmediate();
      since = performance.now();
    }
  }
}

function ascends(times: Float64Array, from: number, to: number): boolean {
  for (let i = from + 1; i < to; i++) if (times[i]! < times[i - 1]!) return false;
  return true;
}

/**
 * Reads all labels of an entity from its events: those at places [from, to), by time, of which `positions` tells where
 * they are in the share.
 */
type Fold = (
  labels: LabelGroups,
  entity: number,
  positions: Int32Array,
  times: Float64Array,
  from: number,
  to: number,
) => void;

function createFold(
  layout: ViewLayout,
  share: EventShare,
  inputs: readonly (ColumnValues | null)[],
  wheres: readonly (Uint8Array | null)[],
  groups: readonly Group[],
): Fold {
  const foundSince = foundFrom(layout);
  const { orders } = share;
  const order: Omit<OrderedValue, "value"> = {
    eventTime: 0,
    version: null,
    ingestedAt: 0,
    hash0: 0,
    hash1: 0,
    hash2: 0,
    hash3: 0,
  };

  /** Adds the events with places in [from, to) of the entity's. */
  function addEvents(group: Group, state: unknown, positions: Int32Array, from: number, to: number): unknown {
    const { aggregation } = group;
    const input = group.input < 0 ? null : inputs[group.input]!;
    const where = group.where < 0 ? null : wheres[group.where]!;
    for (let place = from; place < to; place++) {
      const event = positions[place]!;
      if (where !== null && where[event] === 0) continue;
      let value: Value = input === null ? null : input[event]!;
      if (Number.isNaN(value)) value = null;
      if (value === null && !aggregation.takesNulls) continue;
      if (orders !== null) {
        order.eventTime = share.times[event]!;
        order.version = orders.versions === null ? null : orders.versions[event]!;
        order.ingestedAt = orders.ingestedAt[event]!;
        order.hash0 = orders.hashes[event * 4]!;
        order.hash1 = orders.hashes[event * 4 + 1]!;
        order.hash2 = orders.hashes[event * 4 + 2]!;
        order.hash3 = orders.hashes[event * 4 + 3]!;
      }
      state = aggregation.add(state, value, order);
    }
    return state;
  }

  /** As `addEvents`, of items of a level: events, or blocks of BLOCK items of the level below. */
  function addItems(
    group: Group,
    state: unknown,
    positions: Int32Array,
    level: number,
    from: number,
    to: number,
  ): unknown {
    if (to - from < 2 * BLOCK) {
      if (level === 0) return addEvents(group, state, positions, from, to);
      for (let item = from; item < to; item++) {
        state = group.aggregation.merge(state, blockOf(group, positions, level, item));
      }
      return state;
    }
    const firstBlock = Math.ceil(from / BLOCK);
    const lastBlock = Math.floor(to / BLOCK);
    state = addItems(group, state, positions, level, from, firstBlock * BLOCK);
    state = addItems(group, state, positions, level, lastBlock * BLOCK, to);
    return addItems(group, state, positions, level + 1, firstBlock, lastBlock);
  }

  function blockOf(group: Group, positions: Int32Array, level: number, block: number): unknown {
    group.blocks[level] ??= [];
    const blocks = group.blocks[level]!;
    blocks[block] ??= addItems(
      group,
      group.aggregation.create(),
      positions,
      level - 1,
      block * BLOCK,
      (block + 1) * BLOCK,
    );
    return blocks[block];
  }

  /** All windows of the groups, the shortest first, and where each begins at the label at hand. */
  const windows = new Map<number, number>();
  for (const group of groups)
    for (const { windowMs, hopMs } of group.windows) if (windowMs !== null) windows.set(windowMs, hopMs);
  const bounds = [...windows].sort(([a], [b]) => a - b);
  const begins = new Int32Array(bounds.length);
  const places = groups.map((group) =>
    group.windows.map(({ windowMs }) => bounds.findIndex(([window]) => window === windowMs)),
  );
  const always: unknown[] = [];

  return (labels, entity, positions, times, from, to) => {
    const first = labels.starts[entity]!;
    const last = labels.starts[entity + 1]!;
    for (let g = 0; g < groups.length; g++) {
      groups[g]!.blocks.length = 0;
      always[g] = null;
    }
    let folded = from;
    let end = from;
    for (let label = first; label < last; label++) {
      const time = labels.times[label]!;
      const row = labels.rows[label]!;
      end = firstFrom(times, end, to, time);
      const found = end > from && times[end - 1]! >= foundSince(time);
      let begin = end;
      for (let w = 0; w < bounds.length; w++) {
        const [windowMs, hopMs] = bounds[w]!;
        begin = firstFrom(times, from, begin, floorTo(time - windowMs, hopMs));
        begins[w] = begin;
      }
      for (let g = 0; g < groups.length; g++) {
        const group = groups[g]!;
        let state: unknown = null;
        let done = end;
        for (let w = 0; w < group.windows.length; w++) {
          const { windowMs, reads } = group.windows[w]!;
          if (windowMs === null) {
            always[g] = addItems(group, always[g] ?? group.aggregation.create(), positions, 0, folded, end);
            for (const read of reads) readAlways(read, group.aggregation, always[g], time, row, found);
            continue;
          }
          const begun = begins[places[g]![w]!]!;
          state ??= group.aggregation.create();
          if (begun < done) state = addItems(group, state, positions, 0, begun, done);
          done = begun;
          for (let r = 0; r < reads.length; r++) {
            const { feature, values, statuses } = reads[r]!;
            const value = feature.aggregation.finish(state);
            values[row] = value === null && feature.default !== undefined ? feature.default : value;
            statuses[row] = !found ? "NOT_FOUND" : value === null ? "NULL_VALUE" : "PRESENT";
          }
        }
      }
      folded = end;
    }
  };
}

function readAlways(
  { feature, values, statuses }: Read,
  aggregation: Aggregation,
  state: unknown,
  time: number,
  row: number,
  found: boolean,
): void {
  const { ttlMs } = feature;
  let value: Value;
  let outside = false;
  if (ttlMs === null) {
    value = feature.aggregation.finish(state);
  } else {
    const at = feature.eventTimeOf!(state);
    const isValid = at !== null && at >= time - ttlMs;
    outside = !isValid && at !== null && at >= time - 2 * ttlMs;
    value = feature.aggregation.finish(isValid ? state : aggregation.create());
  }
  values[row] = value === null && feature.default !== undefined ? feature.default : value;
  statuses[row] = !found ? "NOT_FOUND" : outside ? "OUTSIDE_MAX_AGE" : value === null ? "NULL_VALUE" : "PRESENT";
}
