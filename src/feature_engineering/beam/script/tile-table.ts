import type { EventOrder } from "../../aggregations/aggregation.ts";
import type { FlatState, SumOverflows } from "../../aggregations/flat-state.ts";
import type { ByteWriter } from "../../encoding/byte-writer.ts";
import type { EvaluatedEvent } from "../../windows/fold-event.ts";
import { floorTo } from "../../windows/hop.ts";
import type { Slot, TileFamily } from "../../windows/view-layout.ts";

/** The partial tiles of one family, of many entities by their row numbers. */
export interface TileTable {
  /** How many there are. */
  readonly size: number;
  /** Whether states are doubles of one array, not objects. */
  readonly isFlat: boolean;
  /** Adds an event to its entity's tile. */
  add(entity: number, event: EventOrder, evaluated: EvaluatedEvent): void;
  /** The tile of an entity that was made last, or before another; −1: none. */
  last(entity: number): number;
  before(tile: number): number;
  start(tile: number): number;
  /** Writes a tile's events (before any `where`), their largest event time, and its states. */
  write(tile: number, out: ByteWriter): void;
  /** Begins anew. */
  clear(): void;
}

/** Of a tile's row of doubles. */
const START = 0;
const COUNT = 1;
const LATEST = 2;
const SLOTS = 3;
const ROWS = 1_024;

interface FlatSlot {
  readonly flat: FlatState;
  /** Where it begins in a row. */
  readonly at: number;
}

export function createTileTable({ hopMs, slots }: TileFamily): TileTable {
  const flat = flatSlots(slots);
  const width = flat === null ? SLOTS : flat.width;
  const unit = hopMs === 0 ? 1 : hopMs;
  const overflows: SumOverflows = new Map();
  const boxed: unknown[][] = [];
  let size = 0;
  let doubles = new Float64Array(ROWS * width);
  /** By tile, its entity and the one before it, plus one. */
  let links = new Int32Array(ROWS * 2);
  /** By entity, its last tile, plus one. */
  let lasts = new Int32Array(ROWS);
  /** Tiles plus one, by a hash of entity and start; a power of two long. */
  let index = new Int32Array(ROWS * 4);

  function placeOf(entity: number, start: number): number {
    const mask = index.length - 1;
    let hash = Math.imul(entity + 1, 0x9e3779b1) ^ Math.imul((start / unit) | 0, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const tile = index[place]! - 1;
      if (tile < 0 || (links[tile * 2] === entity && doubles[tile * width] === start)) return place;
    }
  }

  function grow(): void {
    const moreDoubles = new Float64Array(doubles.length * 2);
    moreDoubles.set(doubles);
    doubles = moreDoubles;
    const moreLinks = new Int32Array(links.length * 2);
    moreLinks.set(links);
    links = moreLinks;
    index = new Int32Array(index.length * 2);
    for (let tile = 0; tile < size; tile++) index[placeOf(links[tile * 2]!, doubles[tile * width]!)] = tile + 1;
  }

  function tileAt(entity: number, start: number): number {
    const known = index[placeOf(entity, start)]!;
    if (known > 0) return known - 1;
    if ((size + 1) * 2 > links.length) grow();
    const tile = size++;
    const at = tile * width;
    doubles[at + START] = start;
    doubles[at + COUNT] = 0;
    doubles[at + LATEST] = Number.NEGATIVE_INFINITY;
    if (flat === null) boxed[tile] = slots.map((slot) => slot.aggregation.create());
    else for (const { flat: state, at: place } of flat.slots) state.create(doubles, at + place, overflows);
    index[placeOf(entity, start)] = tile + 1;
    links[tile * 2] = entity;
    links[tile * 2 + 1] = lasts[entity]!;
    lasts[entity] = tile + 1;
    return tile;
  }

  function tileOf(entity: number, time: number): number {
    if (entity >= lasts.length) {
      const more = new Int32Array(Math.max(entity + 1, lasts.length * 2));
      more.set(lasts);
      lasts = more;
    }
    const last = lasts[entity]! - 1;
    // Most events are in order.
    if (last >= 0) {
      const start = doubles[last * width]!;
      if (hopMs === 0 || (time >= start && time < start + hopMs)) return last;
    }
    return tileAt(entity, hopMs === 0 ? 0 : floorTo(time, hopMs));
  }

  return {
    get size() {
      return size;
    },
    isFlat: flat !== null,
    add(entity, event, { inputs, wheres }) {
      const time = event.eventTime;
      const tile = tileOf(entity, time);
      const at = tile * width;
      doubles[at + COUNT]!++;
      if (time > doubles[at + LATEST]!) doubles[at + LATEST] = time;
      for (let s = 0; s < slots.length; s++) {
        const { aggregation, input, where } = slots[s]!;
        if (where >= 0 && !wheres[where]) continue;
        const value = input < 0 ? null : inputs[input]!;
        if (value === null && !aggregation.takesNulls) continue;
        if (flat === null) {
          const states = boxed[tile]!;
          states[s] = aggregation.add(states[s], value, event);
        } else {
          const slot = flat.slots[s]!;
          slot.flat.add(doubles, at + slot.at, value, overflows);
        }
      }
    },
    last: (entity) => (entity < lasts.length ? lasts[entity]! - 1 : -1),
    before: (tile) => links[tile * 2 + 1]! - 1,
    start: (tile) => doubles[tile * width]!,
    write(tile, out) {
      const at = tile * width;
      out.varint(doubles[at + COUNT]!);
      out.zigzag(doubles[at + LATEST]!);
      for (let s = 0; s < slots.length; s++) {
        if (flat === null) slots[s]!.aggregation.encode(boxed[tile]![s], out);
        else flat.slots[s]!.flat.encode(doubles, at + flat.slots[s]!.at, out, overflows);
      }
    },
    clear() {
      size = 0;
      boxed.length = 0;
      overflows.clear();
      lasts.fill(0);
      index.fill(0);
    },
  };
}

/** Where each slot's doubles are; null if one has no such form. */
function flatSlots(slots: readonly Slot[]): { readonly slots: readonly FlatSlot[]; readonly width: number } | null {
  const placed: FlatSlot[] = [];
  let at = SLOTS;
  for (const { aggregation } of slots) {
    if (aggregation.flat === undefined) return null;
    placed.push({ flat: aggregation.flat, at });
    at += aggregation.flat.width;
  }
  return { slots: placed, width: at };
}
