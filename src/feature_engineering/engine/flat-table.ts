import type { EventOrder } from "../aggregations/aggregation.ts";
import type { FlatState, SumOverflows } from "../aggregations/flat-state.ts";
import { type ByteReader, createByteReader } from "../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../encoding/byte-writer.ts";
import {
  decodeEntityState,
  encodeEntityState,
  readPackedHead,
  readPackedPositions,
  readPackedTime,
  writePackedHead,
  writePackedTime,
} from "../windows/entity-state.ts";
import { type EvaluatedEvent, foldEvent, neededFrom } from "../windows/fold-event.ts";
import { floorTo } from "../windows/hop.ts";
import { copyRange, positionUnit } from "../windows/packed-tiles.ts";
import type { ViewLayout } from "../windows/view-layout.ts";
import { createByteArena } from "./byte-arena.ts";
import type { EntityTable } from "./entity-table.ts";

/** Of a family within a row: how far it is complete, the newest tile's start (NaN: no tile), what is packed. */
const COMPLETE_FROM = 0;
const START = 1;
const PACKED = 2;
const FIRST = 3;
const LAST = 4;
const SLOTS = 5;

interface FlatFamily {
  readonly hopMs: number;
  readonly reachMs: number;
  readonly unit: number;
  /** Where the family begins in a row. */
  readonly at: number;
  readonly slots: readonly {
    readonly flat: FlatState;
    readonly takesNulls: boolean;
    readonly input: number;
    readonly where: number;
    /** Where the slot begins in a row. */
    readonly at: number;
  }[];
}

/** How many rows there is room for at first. */
const ROWS = 1_024;

/**
 * An {@link EntityTable} in a few large arrays, for views whose every aggregation has a flat form: a row of doubles per
 * entity with the newest tile of each family, and the bytes of the older ones. It takes a fraction of the memory of
 * objects, which is what folds of very many entities are bound by. Null if an aggregation has no flat form, or no window.
 */
export function createFlatTable(layout: ViewLayout): EntityTable | null {
  const compiled = flatFamilies(layout);
  if (compiled === null) return null;
  const { families, width } = compiled;
  const futureBoundMs = layout.futureBoundMs;
  const arena = createByteArena();
  const overflows: SumOverflows = new Map();
  let doubles = new Float64Array(0);
  /** Per row and family the address and the length of what is packed. */
  let blocks = new Uint32Array(0);
  let capacity = 0;
  const out = createByteWriter(1 << 16);
  const one = createByteWriter(16_384);
  const tail = createByteWriter(1_024);

  function reserveRow(row: number): void {
    if (row < capacity) return;
    capacity = Math.max(ROWS, row + 1, capacity + (capacity >> 1));
    const moreDoubles = new Float64Array(capacity * width);
    moreDoubles.set(doubles);
    doubles = moreDoubles;
    const moreBlocks = new Uint32Array(capacity * families.length * 2);
    moreBlocks.set(blocks);
    blocks = moreBlocks;
  }

  function resizeBlock(block: number, length: number): void {
    blocks[block] = arena.resize(blocks[block]!, blocks[block + 1]!, length);
    blocks[block + 1] = length;
  }

  function release(row: number): void {
    if (row >= capacity) return;
    for (let f = 0; f < families.length; f++) resizeBlock((row * families.length + f) * 2, 0);
    if (overflows.size > 0) {
      const from = row * width;
      for (const at of overflows.keys()) if (at >= from && at < from + width) overflows.delete(at);
    }
  }

  function load(row: number, bytes: Uint8Array | null, completeFrom: number): void {
    reserveRow(row);
    const base = row * width;
    if (bytes === null) {
      doubles[base] = Number.NEGATIVE_INFINITY;
      for (let f = 0; f < families.length; f++) {
        const at = base + families[f]!.at;
        doubles[at + COMPLETE_FROM] = completeFrom;
        doubles[at + START] = Number.NaN;
        doubles[at + PACKED] = 0;
        resizeBlock((row * families.length + f) * 2, 0);
      }
      return;
    }
    const input = readPackedHead(layout, bytes);
    doubles[base] = readPackedTime(input);
    readPackedPositions(input);
    for (let f = 0; f < families.length; f++) loadFamily(families[f]!, row * families.length + f, base, input, bytes);
  }

  function loadFamily(family: FlatFamily, index: number, base: number, input: ByteReader, bytes: Uint8Array): void {
    const at = base + family.at;
    doubles[at + COMPLETE_FROM] = readPackedTime(input);
    const count = input.varint();
    doubles[at + START] = Number.NaN;
    doubles[at + PACKED] = Math.max(0, count - 1);
    let size = 0;
    if (count > 0) {
      const newest = input.zigzag();
      doubles[at + START] = newest * family.unit;
      input.varint();
      const { slots } = family;
      for (let s = 0; s < slots.length; s++) slots[s]!.flat.decode(input, doubles, base + slots[s]!.at, overflows);
      if (count > 1) {
        size = input.varint();
        doubles[at + FIRST] = newest - input.varint();
        doubles[at + LAST] = newest - input.varint();
      }
    }
    resizeBlock(index * 2, size);
    if (size === 0) return;
    const address = blocks[index * 2]!;
    const from = input.position;
    input.skip(size);
    arena.chunkOf(address).set(bytes.subarray(from, from + size), arena.startOf(address));
  }

  /** Makes bytes of the newest tile, behind the older ones. */
  function packNewest(family: FlatFamily, index: number, base: number): void {
    const at = base + family.at;
    const position = doubles[at + START]! / family.unit;
    tail.reset();
    if (doubles[at + PACKED] === 0) doubles[at + FIRST] = position;
    else tail.varint(position - doubles[at + LAST]!);
    doubles[at + LAST] = position;
    doubles[at + PACKED]!++;
    writeSlots(family, base, tail);
    const block = index * 2;
    const before = blocks[block + 1]!;
    const added = tail.position;
    resizeBlock(block, before + added);
    const chunk = arena.chunkOf(blocks[block]!);
    const to = arena.startOf(blocks[block]!) + before;
    const from = tail.reserve(0);
    for (let i = 0; i < added; i++) chunk[to + i] = from[i]!;
  }

  /** The byte length and the states of the newest tile. */
  function writeSlots(family: FlatFamily, base: number, to: ByteWriter): void {
    const lengthAt = to.position;
    to.u8(0);
    const { slots } = family;
    for (let s = 0; s < slots.length; s++) slots[s]!.flat.encode(doubles, base + slots[s]!.at, to, overflows);
    const length = to.position - lengthAt - 1;
    if (length < 128) {
      to.reserve(0)[lengthAt] = length;
      return;
    }
    // Sums of many magnitudes: the length takes more than the byte that was left for it.
    const states = to.reserve(0).slice(lengthAt + 1, to.position);
    to.advance(lengthAt - to.position);
    to.varint(length);
    to.raw(states);
  }

  function startTile(family: FlatFamily, base: number, start: number): void {
    doubles[base + family.at + START] = start;
    const { slots } = family;
    for (let s = 0; s < slots.length; s++) slots[s]!.flat.create(doubles, base + slots[s]!.at, overflows);
  }

  /** Drops the tiles before `needed`. */
  function dropTiles(family: FlatFamily, index: number, base: number, needed: number): void {
    const at = base + family.at;
    const packed = doubles[at + PACKED]!;
    const start = doubles[at + START]!;
    if (!((packed > 0 ? doubles[at + FIRST]! * family.unit : start) < needed)) return;
    if (packed > 0) dropPacked(family, index, at, needed);
    if (doubles[at + PACKED] === 0 && start < needed) doubles[at + START] = Number.NaN;
    if (doubles[at + COMPLETE_FROM]! < needed) doubles[at + COMPLETE_FROM] = needed;
  }

  function dropPacked(family: FlatFamily, index: number, at: number, needed: number): void {
    const block = index * 2;
    const length = blocks[block + 1]!;
    const chunk = arena.chunkOf(blocks[block]!);
    const from = arena.startOf(blocks[block]!);
    const input = createByteReader(chunk, from, from + length);
    let left = doubles[at + PACKED]!;
    let first = doubles[at + FIRST]!;
    while (left > 0 && first * family.unit < needed) {
      input.skip(input.varint());
      left--;
      if (left > 0) first += input.varint();
    }
    doubles[at + PACKED] = left;
    doubles[at + FIRST] = first;
    chunk.copyWithin(from, input.position, from + length);
    resizeBlock(block, from + length - input.position);
  }

  function encodeFamily(family: FlatFamily, index: number, base: number, to: ByteWriter): void {
    const at = base + family.at;
    writePackedTime(to, doubles[at + COMPLETE_FROM]!);
    const start = doubles[at + START]!;
    if (Number.isNaN(start)) {
      to.varint(0);
      return;
    }
    const packed = doubles[at + PACKED]!;
    const newest = start / family.unit;
    to.varint(packed + 1);
    to.zigzag(newest);
    writeSlots(family, base, to);
    if (packed === 0) return;
    const address = blocks[index * 2]!;
    const length = blocks[index * 2 + 1]!;
    to.varint(length);
    to.varint(newest - doubles[at + FIRST]!);
    to.varint(newest - doubles[at + LAST]!);
    const from = arena.startOf(address);
    copyRange(arena.chunkOf(address), from, from + length, to);
  }

  function encodeFamilies(row: number, to: ByteWriter): void {
    const base = row * width;
    for (let f = 0; f < families.length; f++) encodeFamily(families[f]!, row * families.length + f, base, to);
  }

  /** An event older than the newest tile: by way of objects. */
  function foldLate(row: number, event: EventOrder, evaluated: EvaluatedEvent, clock: number): void {
    one.reset();
    writePackedHead(one, doubles[row * width]!, []);
    encodeFamilies(row, one);
    const state = decodeEntityState(layout, one.view());
    foldEvent(layout, state, event, evaluated, clock);
    load(row, encodeEntityState(layout, state, []), Number.NEGATIVE_INFINITY);
  }

  return {
    load,
    fold(row, event, evaluated, clock) {
      const time = event.eventTime;
      const base = row * width;
      const { inputs, wheres } = evaluated;
      for (let f = 0; f < families.length; f++) {
        const { at } = families[f]!;
        if (time < doubles[base + at + START]!) {
          foldLate(row, event, evaluated, clock);
          return;
        }
      }
      if (time > doubles[base]!) doubles[base] = time;
      for (let f = 0; f < families.length; f++) {
        const family = families[f]!;
        const { at, hopMs, slots } = family;
        const start = doubles[base + at + START]!;
        if (time < clock - futureBoundMs - family.reachMs) {
          const needed = neededFrom(family, futureBoundMs, clock);
          if (time < needed) {
            if (doubles[base + at + COMPLETE_FROM]! < needed) doubles[base + at + COMPLETE_FROM] = needed;
            continue;
          }
        }
        if (!(time < start + hopMs)) {
          if (!Number.isNaN(start)) packNewest(family, row * families.length + f, base);
          startTile(family, base, floorTo(time, hopMs));
        }
        for (let s = 0; s < slots.length; s++) {
          const slot = slots[s]!;
          if (slot.where >= 0 && !wheres[slot.where]) continue;
          const value = slot.input < 0 ? null : inputs[slot.input]!;
          if (value === null && !slot.takesNulls) continue;
          slot.flat.add(doubles, base + slot.at, value, overflows);
        }
      }
    },
    encode(rows, clock, positionsOf) {
      const needed = families.map((family) => neededFrom(family, futureBoundMs, clock));
      const ends = new Uint32Array(rows.length);
      out.reset();
      for (let i = 0; i < rows.length; i++) {
        const row = rows[i]!;
        for (let f = 0; f < families.length; f++) {
          dropTiles(families[f]!, row * families.length + f, row * width, needed[f]!);
        }
        writePackedHead(out, doubles[row * width]!, positionsOf(row));
        encodeFamilies(row, out);
        ends[i] = out.position;
      }
      const bytes = out.reserve(0);
      const encoded = new Array<Uint8Array>(rows.length);
      for (let i = 0; i < rows.length; i++) encoded[i] = bytes.subarray(i === 0 ? 0 : ends[i - 1]!, ends[i]!);
      return encoded;
    },
    maxEventTime: (row) => doubles[row * width]!,
    release,
  };
}

/** Where everything is in a row; null if an aggregation has no flat form. */
function flatFamilies(layout: ViewLayout): { readonly families: FlatFamily[]; readonly width: number } | null {
  const families: FlatFamily[] = [];
  let at = 1;
  for (const family of layout.families) {
    if (family.hopMs === 0) return null;
    const own = at;
    at += SLOTS;
    const slots: FlatFamily["slots"][number][] = [];
    for (const { aggregation, input, where } of family.slots) {
      const { flat, takesNulls } = aggregation;
      if (flat === undefined) return null;
      slots.push({ flat, takesNulls, input, where, at });
      at += flat.width;
    }
    families.push({ hopMs: family.hopMs, reachMs: family.reachMs, unit: positionUnit(family), at: own, slots });
  }
  return { families, width: at };
}
