import type { Value } from "../../definitions/value.ts";
import type { ByteReader } from "../encoding/byte-reader.ts";
import { type EntityState, readPackedHead, readPackedTime } from "./entity-state.ts";
import { compileFamilyReads, type FamilyReads, type SlotReads } from "./family-reads.ts";
import { floorTo } from "./hop.ts";
import { tileStates, unpackTiles } from "./packed-tiles.ts";
import type { ViewLayout } from "./view-layout.ts";

/**
 * What a feature's value means. The names are Feast's, but for `UNAVAILABLE`: the hot store did not answer in time, so
 * the null says nothing about the entity.
 */
export type FeatureStatus = "PRESENT" | "NULL_VALUE" | "NOT_FOUND" | "OUTSIDE_MAX_AGE" | "UNAVAILABLE";

/** The values of one view's features for one entity, in the order of `view.features`. */
export interface ViewReading {
  readonly values: Value[];
  readonly statuses: FeatureStatus[];
  /** False if no event of the entity lies in any window, or within twice a ttl, before t. */
  found: boolean;
  /** The largest event time folded; −Infinity if none. Epoch milliseconds. */
  maxEventTime: number;
  /** True if an event at or after t was folded in: the newest tile may then hold more than the window. */
  headOverlap: boolean;
  /** True if a tile that a window needs was dropped: the values are not those at t. */
  tooOld: boolean;
}

export function createViewReading(layout: ViewLayout): ViewReading {
  return {
    values: layout.features.map(() => null),
    statuses: layout.features.map(() => "NOT_FOUND"),
    found: false,
    maxEventTime: Number.NEGATIVE_INFINITY,
    headOverlap: false,
    tooOld: false,
  };
}

/** Reads some features of a view; the others keep what the reading held. */
export interface FeatureReader {
  /**
   * Reads at `time` (epoch milliseconds) from a state in memory: a window covers
   * `floor(t − w, hop) <= event_time < t`. `state` is null for an entity without a value; `expiredBefore` is the moment
   * up to which whole values were dropped (−Infinity: none).
   */
  fromState(state: EntityState | null, time: number, into: ViewReading, expiredBefore?: number): void;
  /**
   * The same from a packed value, each tile of which is merged straight from its bytes.
   * @throws `VALUE_CORRUPT`, `MALFORMED_BYTES`
   */
  fromBytes(bytes: Uint8Array, time: number, into: ViewReading): void;
}

/** Compiles how features are read from tiles: `wanted` are their indexes in `view.features` (default: all). */
export function createFeatureReader(
  layout: ViewLayout,
  wanted: readonly number[] = layout.features.map((_, index) => index),
): FeatureReader {
  const families = layout.families.map((_, index) => compileFamilyReads(layout, index, wanted));
  const features = wanted.map((index) => ({ index, fallback: layout.features[index]!.default }));

  function finish(into: ViewReading): void {
    for (let i = 0; i < features.length; i++) {
      const { index, fallback } = features[i]!;
      if (!into.found) into.statuses[index] = "NOT_FOUND";
      if (fallback !== undefined && into.values[index] === null) into.values[index] = fallback;
    }
  }

  return {
    fromState(state, time, into, expiredBefore = Number.NEGATIVE_INFINITY) {
      into.found = false;
      into.tooOld = false;
      into.maxEventTime = state === null ? Number.NEGATIVE_INFINITY : state.maxEventTime;
      into.headOverlap = into.maxEventTime >= time;
      for (let index = 0; index < families.length; index++) {
        const reads = families[index]!;
        if (reads.family.hopMs === 0) lifetimeFromState(reads, state, index, time, into, expiredBefore);
        else windowsFromState(reads, state, index, time, into, expiredBefore);
      }
      finish(into);
    },
    fromBytes(bytes, time, into) {
      into.found = false;
      into.tooOld = false;
      const input = readPackedHead(layout, bytes);
      into.maxEventTime = readPackedTime(input);
      into.headOverlap = into.maxEventTime >= time;
      for (let left = 2 * input.varint(); left > 0; left--) input.varint();
      for (let index = 0; index < families.length; index++) {
        const reads = families[index]!;
        if (reads.family.hopMs === 0) lifetimeFromBytes(reads, input, time, into);
        else windowsFromBytes(reads, input, time, into);
      }
      finish(into);
    },
  };
}

const readers = new WeakMap<ViewLayout, FeatureReader>();

/** Reads every feature of the view from a state; see {@link FeatureReader}. */
export function readFeatures(
  layout: ViewLayout,
  state: EntityState | null,
  time: number,
  into: ViewReading,
  expiredBefore: number = Number.NEGATIVE_INFINITY,
): void {
  let reader = readers.get(layout);
  if (reader === undefined) {
    reader = createFeatureReader(layout);
    readers.set(layout, reader);
  }
  reader.fromState(state, time, into, expiredBefore);
}

function windowsFromState(
  reads: FamilyReads,
  state: EntityState | null,
  index: number,
  time: number,
  into: ViewReading,
  expiredBefore: number,
): void {
  const { family } = reads;
  const stored = state?.families[index];
  const oldest = floorTo(time - reads.longestMs, family.hopMs);
  if (oldest < (stored?.completeFrom ?? expiredBefore)) into.tooOld = true;
  startWindows(reads, time);
  const tiles = stored === undefined ? [] : unpackTiles(family, stored);
  let first = tiles.length;
  while (first > 0 && tiles[first - 1]!.start >= oldest) first--;
  let segment = -1;
  for (let i = first; i < tiles.length; i++) {
    const tile = tiles[i]!;
    if (tile.start >= time) break;
    into.found = true;
    segment = segmentOf(reads, tile.start, segment);
    if (segment < 0) continue;
    const states = tileStates(family, tile);
    for (let s = 0; s < reads.slots.length; s++) {
      const slot = reads.slots[s]!;
      const part = slot.partOf[segment]!;
      if (part >= 0) slot.parts[part] = slot.aggregation.merge(slot.parts[part], states[slot.slot]);
    }
  }
  finishWindows(reads, into);
}

function windowsFromBytes(reads: FamilyReads, input: ByteReader, time: number, into: ViewReading): void {
  const { hopMs } = reads.family;
  const oldest = floorTo(time - reads.longestMs, hopMs);
  if (oldest < readPackedTime(input)) into.tooOld = true;
  startWindows(reads, time);
  let left = input.varint();
  if (left > 0) {
    // The newest tile comes first; the others follow from the oldest on.
    const newest = input.zigzag();
    readTile(reads, newest * hopMs, oldest, time, -1, input, into);
    if (--left > 0) {
      const end = input.varint();
      let position = newest - input.varint();
      input.varint();
      const stop = input.position + end;
      let segment = -1;
      for (let first = true; left > 0 && position * hopMs < time; left--, first = false) {
        if (!first) position += input.varint();
        segment = readTile(reads, position * hopMs, oldest, time, segment, input, into);
      }
      input.skip(stop - input.position);
    }
  }
  finishWindows(reads, into);
}

/** Reads the byte length and the states of a tile; returns the index of the shortest window that holds it. */
function readTile(
  reads: FamilyReads,
  start: number,
  oldest: number,
  time: number,
  before: number,
  input: ByteReader,
  into: ViewReading,
): number {
  const length = input.varint();
  const end = input.position + length;
  let segment = before;
  if (start >= oldest && start < time) {
    into.found = true;
    segment = segmentOf(reads, start, before);
    if (segment >= 0) mergeTile(reads, segment, input);
  }
  input.skip(end - input.position);
  return segment;
}

/** Merges the slots that are read, and stops after the last of them. */
function mergeTile(reads: FamilyReads, segment: number, input: ByteReader): void {
  const { slots } = reads.family;
  let next = 0;
  for (let s = 0; s < reads.slots.length; s++) {
    const slot = reads.slots[s]!;
    const part = slot.partOf[segment]!;
    if (part < 0) continue;
    for (; next < slot.slot; next++) skipState(slots[next]!.aggregation, input);
    next++;
    const { aggregation } = slot;
    if (aggregation.mergeEncoded === undefined) {
      slot.parts[part] = aggregation.merge(slot.parts[part], aggregation.decode(input));
    } else {
      slot.parts[part] = aggregation.mergeEncoded(slot.parts[part], input);
    }
  }
}

function skipState(aggregation: SlotReads["aggregation"], input: ByteReader): void {
  if (aggregation.skip === undefined) aggregation.decode(input);
  else aggregation.skip(input);
}

/** Empties the parts and notes where each window starts. */
function startWindows(reads: FamilyReads, time: number): void {
  const { windows, starts, slots } = reads;
  for (let i = 0; i < windows.length; i++) starts[i] = floorTo(time - windows[i]!, reads.family.hopMs);
  for (let s = 0; s < slots.length; s++) {
    const { parts, aggregation } = slots[s]!;
    for (let part = 0; part < parts.length; part++) parts[part] = aggregation.create();
  }
}

/** The index of the shortest window that holds a tile, given that of the tile before it; −1 for none. */
function segmentOf({ starts }: FamilyReads, start: number, before: number): number {
  let segment = before;
  while (segment + 1 < starts.length && start >= starts[segment + 1]!) segment++;
  return segment;
}

/** From the shortest window on, each is what it has beyond the one before, merged with that. */
function finishWindows({ slots }: FamilyReads, into: ViewReading): void {
  for (let s = 0; s < slots.length; s++) {
    const { aggregation, parts, features } = slots[s]!;
    let merged: unknown;
    for (let part = parts.length - 1; part >= 0; part--) {
      merged = part === parts.length - 1 ? parts[part] : aggregation.merge(parts[part], merged);
      const ending = features[part]!;
      for (let i = 0; i < ending.length; i++) {
        const { index, finish } = ending[i]!;
        setValue(into, index, finish(merged), false);
      }
      parts[part] = null;
    }
  }
}

function lifetimeFromState(
  reads: FamilyReads,
  state: EntityState | null,
  index: number,
  time: number,
  into: ViewReading,
  expiredBefore: number,
): void {
  if (state === null && reads.longestTtlMs !== null && time - 2 * reads.longestTtlMs < expiredBefore) {
    into.tooOld = true;
  }
  const tile = state === null ? undefined : state.families[index]!.tiles[0];
  if (tile !== undefined) findLifetime(reads, time, into);
  const states = tile === undefined ? null : tileStates(reads.family, tile);
  for (const slot of reads.slots) {
    finishLifetime(slot, states === null ? null : states[slot.slot], states !== null, time, into);
  }
}

function lifetimeFromBytes(reads: FamilyReads, input: ByteReader, time: number, into: ViewReading): void {
  readPackedTime(input);
  if (input.varint() === 0) {
    for (const slot of reads.slots) finishLifetime(slot, null, false, time, into);
    return;
  }
  input.zigzag();
  const length = input.varint();
  const end = input.position + length;
  findLifetime(reads, time, into);
  let next = 0;
  for (const slot of reads.slots) {
    for (; next < slot.slot; next++) skipState(reads.family.slots[next]!.aggregation, input);
    next++;
    finishLifetime(slot, slot.aggregation.decode(input), true, time, into);
  }
  input.skip(end - input.position);
}

function findLifetime(reads: FamilyReads, time: number, into: ViewReading): void {
  if (reads.forever) into.found = true;
  else if (reads.longestTtlMs !== null && into.maxEventTime >= time - 2 * reads.longestTtlMs) into.found = true;
}

function finishLifetime(slot: SlotReads, kept: unknown, there: boolean, time: number, into: ViewReading): void {
  for (const { index, finish, read } of slot.features[0]!) {
    const { ttlMs } = read;
    let valid = there;
    let outside = false;
    if (there && ttlMs !== null) {
      const at = read.eventTimeOf!(kept);
      valid = at !== null && at >= time - ttlMs;
      outside = !valid && at !== null && at >= time - 2 * ttlMs;
    }
    setValue(into, index, finish(valid ? kept : slot.aggregation.create()), outside);
  }
}

function setValue(into: ViewReading, index: number, value: Value, outside: boolean): void {
  into.values[index] = value;
  into.statuses[index] = outside ? "OUTSIDE_MAX_AGE" : value === null ? "NULL_VALUE" : "PRESENT";
}
