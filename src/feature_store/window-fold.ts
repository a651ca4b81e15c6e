import type { AggregationSpec } from "../definitions/aggregation-spec.ts";
import type { Value } from "../definitions/value.ts";
import type { Aggregation } from "../feature_engineering/aggregations/aggregation.ts";
import { aggregationOf } from "../feature_engineering/aggregations/aggregation-of.ts";
import type { OrderedValue } from "../feature_engineering/aggregations/ordered-value.ts";
import { floorTo } from "../feature_engineering/windows/hop.ts";
import { eventTimeReader } from "../feature_engineering/windows/view-layout.ts";
import { type FoldColumn, gatherColumn } from "./fold-column.ts";
import { type FoundBounds, foundFrom } from "./found-from.ts";
import { NOT_FOUND, NULL_VALUE, OUTSIDE_MAX_AGE, PRESENT, putValue } from "./historical-inputs.ts";
import { type ColumnValues, firstFrom } from "./offline/point-in-time.ts";

/** Events of a block whose partial aggregate is kept, and blocks of the next larger one. */
const BLOCK = 32;
/** Entities between two turns. */
const TURN_ENTITIES = 64;

/** How the read features of a view are made of its events: plain data, for any thread. */
export interface FoldPlan {
  readonly features: readonly FoldFeature[];
  readonly found: FoundBounds;
}

export interface FoldFeature {
  readonly aggregation: AggregationSpec;
  /** As `AggregationOptions`. */
  readonly squares: boolean;
  /** Indexes into the events' inputs and wheres; −1 for none. */
  readonly input: number;
  readonly where: number;
  /** Milliseconds; null for all of the past. */
  readonly windowMs: number | null;
  readonly hopMs: number;
  readonly ttlMs: number | null;
  readonly default: Value | undefined;
}

/** Events of some entities, in any order. */
export interface FoldEvents {
  readonly count: number;
  readonly entities: Int32Array;
  /** Epoch milliseconds. */
  readonly times: Float64Array;
  readonly inputs: readonly (FoldColumn | null)[];
  readonly wheres: readonly (Uint8Array | null)[];
  /** Null where no feature needs the order of events. */
  readonly orders: {
    readonly versions: FoldColumn | null;
    readonly ingestedAt: Float64Array;
    readonly hashes: Uint32Array;
  } | null;
}

/** As `LabelGroups`. */
export interface FoldLabels {
  readonly starts: Int32Array;
  readonly rows: Int32Array;
  readonly times: Float64Array;
}

/** Where the values of a plan's features go: by row, of each feature a column. */
export interface FoldOutput {
  readonly values: readonly ColumnValues[];
  readonly statuses: readonly Uint8Array[];
}

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
  readonly aggregation: Aggregation;
  readonly ttlMs: number | null;
  readonly default: Value | undefined;
  readonly eventTimeOf: ((state: unknown) => number | null) | null;
  readonly values: ColumnValues;
  readonly statuses: Uint8Array;
}

/**
 * Reads the features of every label of the entities `e` with `e mod parts = part` that have events. For each label the
 * events of its windows are added up from the newest to the oldest, the partial results on the way being the shorter
 * windows; where many events lie between two bounds, partial aggregates of blocks of them are merged. Results do not
 * depend on how events are split or ordered, so these are the values that tiles give, whoever folds which part.
 *
 * `parts` is a power of two. A generator, which gives the caller's thread a turn now and then; it yields the rows done.
 */
export function* foldWindows(
  plan: FoldPlan,
  events: FoldEvents,
  labels: FoldLabels,
  part: number,
  parts: number,
  into: FoldOutput,
): Generator<number> {
  const groups = groupsOf(plan, into);
  const { positions, times, starts } = partOf(events, labels, part, parts);
  const fold = createFold(plan, events, positions, times, groups);
  let rows = 0;
  for (let index = 0; index + 1 < starts.length; index++) {
    const entity = index * parts + part;
    const [from, to] = [starts[index]!, starts[index + 1]!];
    if (from === to) continue;
    fold(labels, entity, from, to);
    rows += labels.starts[entity + 1]! - labels.starts[entity]!;
    if (index % TURN_ENTITIES === 0) yield rows;
  }
  yield rows;
}

/** Fills the labels' rows with what an entity without events reads. */
export function fillWithoutEvents(plan: FoldPlan, { rows }: Pick<FoldLabels, "rows">, into: FoldOutput): void {
  plan.features.forEach((feature, index) => {
    const aggregation = aggregationOf(feature.aggregation, { squares: feature.squares });
    const value = aggregation.finish(aggregation.create()) ?? feature.default ?? null;
    const values = into.values[index]!;
    const statuses = into.statuses[index]!;
    for (const row of rows) {
      putValue(values, row, value);
      statuses[row] = NOT_FOUND;
    }
  });
}

function groupsOf(plan: FoldPlan, into: FoldOutput): Group[] {
  const groups = new Map<string, Group>();
  plan.features.forEach((feature, index) => {
    const { input, where, windowMs, hopMs, ttlMs } = feature;
    const aggregation = aggregationOf(feature.aggregation, { squares: feature.squares });
    const id = `${aggregation.state}|${input}|${where}`;
    let group = groups.get(id);
    if (group === undefined) {
      group = { aggregation, input, where, windows: [], blocks: [] };
      groups.set(id, group);
    }
    let window = group.windows.find((known) => known.windowMs === windowMs);
    if (window === undefined) {
      window = { windowMs, hopMs, reads: [] };
      group.windows.push(window);
    }
    window.reads.push({
      aggregation,
      ttlMs,
      default: feature.default,
      eventTimeOf: eventTimeReader(feature.aggregation),
      values: into.values[index]!,
      statuses: into.statuses[index]!,
    });
  });
  for (const { windows } of groups.values()) {
    windows.sort((a, b) => (a.windowMs ?? Number.POSITIVE_INFINITY) - (b.windowMs ?? Number.POSITIVE_INFINITY));
  }
  return [...groups.values()];
}

/** The part's events by entity and time: where they are, their times, and where those of its n-th entity begin. */
function partOf(
  { count, entities, times }: FoldEvents,
  { starts: labelStarts }: FoldLabels,
  part: number,
  parts: number,
): { readonly positions: Int32Array; readonly times: Float64Array; readonly starts: Int32Array } {
  const mask = parts - 1;
  const shift = Math.log2(parts);
  const starts = new Int32Array(Math.max(0, Math.ceil((labelStarts.length - 1 - part) / parts)) + 1);
  let own = 0;
  for (let event = 0; event < count; event++) {
    const entity = entities[event]!;
    if ((entity & mask) !== part) continue;
    starts[(entity >> shift) + 1]!++;
    own++;
  }
  for (let index = 1; index < starts.length; index++) starts[index]! += starts[index - 1]!;
  const next = starts.slice();
  const positions = new Int32Array(own);
  for (let event = 0; event < count; event++) {
    const entity = entities[event]!;
    if ((entity & mask) === part) positions[next[entity >> shift]!++] = event;
  }
  const sorted = new Float64Array(own);
  for (let i = 0; i < own; i++) sorted[i] = times[positions[i]!]!;
  for (let index = 0; index + 1 < starts.length; index++) {
    const [from, to] = [starts[index]!, starts[index + 1]!];
    if (ascends(sorted, from, to)) continue;
    positions.subarray(from, to).sort((a, b) => times[a]! - times[b]!);
    for (let i = from; i < to; i++) sorted[i] = times[positions[i]!]!;
  }
  return { positions, times: sorted, starts };
}

function ascends(times: Float64Array, from: number, to: number): boolean {
  for (let i = from + 1; i < to; i++) if (times[i]! < times[i - 1]!) return false;
  return true;
}

/** Reads all labels of an entity from its events: those at places [from, to) of the part. */
type Fold = (labels: FoldLabels, entity: number, from: number, to: number) => void;

function createFold(
  plan: FoldPlan,
  events: FoldEvents,
  positions: Int32Array,
  times: Float64Array,
  groups: readonly Group[],
): Fold {
  const foundSince = foundFrom(plan.found);
  const { orders } = events;
  const needed = (index: number): boolean => groups.some(({ input }) => input === index);
  const inputs = events.inputs.map((column, index) =>
    column === null || !needed(index) ? null : gatherColumn(column, positions),
  );
  const wheres = events.wheres.map((where) => where && Uint8Array.from(positions, (position) => where[position]!));
  const versions = orders === null || orders.versions === null ? null : gatherColumn(orders.versions, positions);
  const order: Omit<OrderedValue, "value"> = {
    eventTime: 0,
    version: null,
    ingestedAt: 0,
    hash0: 0,
    hash1: 0,
    hash2: 0,
    hash3: 0,
  };

  /** Where the entity's events begin; the places below count from here, so that blocks are numbered from 0. */
  let origin = 0;

  /** Adds the entity's events [from, to). */
  function addEvents(group: Group, state: unknown, from: number, to: number): unknown {
    const { aggregation } = group;
    const input = group.input < 0 ? null : inputs[group.input]!;
    const where = group.where < 0 ? null : wheres[group.where]!;
    for (let place = origin + from; place < origin + to; place++) {
      if (where !== null && where[place] === 0) continue;
      let value: Value = input === null ? null : input[place]!;
      if (Number.isNaN(value)) value = null;
      if (value === null && !aggregation.takesNulls) continue;
      if (orders !== null) {
        const event = positions[place]!;
        const version = versions === null ? null : (versions[place] as number | bigint | null);
        order.eventTime = times[place]!;
        order.version = Number.isNaN(version) ? null : version;
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
  function addItems(group: Group, state: unknown, level: number, from: number, to: number): unknown {
    if (to - from < 2 * BLOCK) {
      if (level === 0) return addEvents(group, state, from, to);
      for (let item = from; item < to; item++) {
        state = group.aggregation.merge(state, blockOf(group, level, item));
      }
      return state;
    }
    const firstBlock = Math.ceil(from / BLOCK);
    const lastBlock = Math.floor(to / BLOCK);
    state = addItems(group, state, level, from, firstBlock * BLOCK);
    state = addItems(group, state, level, lastBlock * BLOCK, to);
    return addItems(group, state, level + 1, firstBlock, lastBlock);
  }

  function blockOf(group: Group, level: number, block: number): unknown {
    group.blocks[level] ??= [];
    const blocks = group.blocks[level]!;
    blocks[block] ??= addItems(group, group.aggregation.create(), level - 1, block * BLOCK, (block + 1) * BLOCK);
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

  return (labels, entity, from, to) => {
    const first = labels.starts[entity]!;
    const last = labels.starts[entity + 1]!;
    for (let g = 0; g < groups.length; g++) {
      groups[g]!.blocks.length = 0;
      always[g] = null;
    }
    origin = from;
    let folded = 0;
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
        begins[w] = begin - from;
      }
      for (let g = 0; g < groups.length; g++) {
        const group = groups[g]!;
        let state: unknown = null;
        let done = end - from;
        for (let w = 0; w < group.windows.length; w++) {
          const { windowMs, reads } = group.windows[w]!;
          if (windowMs === null) {
            always[g] = addItems(group, always[g] ?? group.aggregation.create(), 0, folded, end - from);
            for (const read of reads) readAlways(read, group.aggregation, always[g], time, row, found);
            continue;
          }
          const begun = begins[places[g]![w]!]!;
          state ??= group.aggregation.create();
          if (begun < done) state = addItems(group, state, 0, begun, done);
          done = begun;
          for (let r = 0; r < reads.length; r++) {
            const read = reads[r]!;
            const value = read.aggregation.finish(state);
            putValue(read.values, row, value === null && read.default !== undefined ? read.default : value);
            read.statuses[row] = !found ? NOT_FOUND : value === null ? NULL_VALUE : PRESENT;
          }
        }
      }
      folded = end - from;
    }
  };
}

function readAlways(
  read: Read,
  aggregation: Aggregation,
  state: unknown,
  time: number,
  row: number,
  found: boolean,
): void {
  const { ttlMs } = read;
  let value: Value;
  let outside = false;
  if (ttlMs === null) {
    value = read.aggregation.finish(state);
  } else {
    const at = read.eventTimeOf!(state);
    const isValid = at !== null && at >= time - ttlMs;
    outside = !isValid && at !== null && at >= time - 2 * ttlMs;
    value = read.aggregation.finish(isValid ? state : aggregation.create());
  }
  putValue(read.values, row, value === null && read.default !== undefined ? read.default : value);
  read.statuses[row] = !found ? NOT_FOUND : outside ? OUTSIDE_MAX_AGE : value === null ? NULL_VALUE : PRESENT;
}
