import { type ByteReader, createByteReader } from "../../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../encoding/byte-writer.ts";
import {
  createEntityState,
  decodeEntityState,
  type EntityState,
  encodeEntityState,
} from "../../windows/entity-state.ts";
import { expiredBefore, expiryOf, neededFrom, pruneState } from "../../windows/fold-event.ts";
import { positionUnit, unpackTiles } from "../../windows/packed-tiles.ts";
import type { TileFamily, ViewLayout } from "../../windows/view-layout.ts";
import { type Contribution, createLedger, readLedger, type TileLedger, writeWithLedger } from "./tile-ledger.ts";

const NONE: Uint8Array = new Uint8Array(0);

interface PartialHead {
  readonly family: number;
  count: number;
  maxEventTime: number;
  states: Uint8Array;
}

/**
 * Merges partial tiles of one tile, each with its length before it, into one. The view's number says which layout.
 */
export function mergePartials(
  layouts: ReadonlyMap<number, ViewLayout>,
  partials: Uint8Array,
): PartialHead & { readonly view: number } {
  const input = createByteReader(partials);
  let end = input.varint() + input.position;
  const view = input.u32();
  const family = input.varint();
  const merged = { view, family, count: input.varint(), maxEventTime: input.zigzag(), states: NONE };
  const firstStates = input.position;
  if (end === partials.length) {
    merged.states = partials.subarray(firstStates, end);
    return merged;
  }
  const { slots } = layouts.get(view)!.families[family]!;
  const states = slots.map((slot) => slot.aggregation.decode(input));
  while (end < partials.length) {
    input.skip(end - input.position);
    end = input.varint() + input.position;
    input.u32();
    input.varint();
    merged.count += input.varint();
    merged.maxEventTime = Math.max(merged.maxEventTime, input.zigzag());
    for (let s = 0; s < slots.length; s++) {
      const { aggregation } = slots[s]!;
      states[s] =
        aggregation.mergeEncoded === undefined
          ? aggregation.merge(states[s], aggregation.decode(input))
          : aggregation.mergeEncoded(states[s], input);
    }
  }
  scratch.reset();
  for (let s = 0; s < slots.length; s++) slots[s]!.aggregation.encode(states[s], scratch);
  merged.states = scratch.finish();
  return merged;
}

const scratch: ByteWriter = createByteWriter(1_024);

/** Makes one partial tile of several, in the same form: with its length before it. */
export function compactPartials(layouts: ReadonlyMap<number, ViewLayout>, partials: Uint8Array): Uint8Array {
  const { view, family, count, maxEventTime, states } = mergePartials(layouts, partials);
  const body = createByteWriter(states.length + 32);
  body.u32(view);
  body.varint(family);
  body.varint(count);
  body.zigzag(maxEventTime);
  body.raw(states);
  const out = createByteWriter(body.position + 8);
  out.bytes(body.view());
  return out.finish();
}

/**
 * Merges tiles into the packed values of their entities. The frame: the wall clock and that of a stream (zigzag, epoch
 * milliseconds), the generation, 1 if tiles of one start add up (in batch, where all of an entity are here) or 0 if they
 * are panes of which the largest counts, the number of entities; of each its view's number, its stored value (empty:
 * none), and in bytes its tiles, of each the start (zigzag) and the concatenated partials. Written to `out` per entity:
 * the new value (empty: as it was), from when on a store may drop it (zigzag, 0: never) and its largest event time
 * (zigzag); at the end the number of tiles.
 */
export function mergeTiles(layouts: ReadonlyMap<number, ViewLayout>, frame: ByteReader, out: ByteWriter): void {
  const now = frame.zigzag();
  const streamClock = frame.zigzag();
  const generation = frame.varint();
  const adds = frame.varint() === 1;
  let tiles = 0;
  for (let left = frame.varint(); left > 0; left--) {
    const layout = layouts.get(frame.u32())!;
    const stored = frame.bytes();
    const wall = layout.view.source.clock === "wall";
    let clock = wall ? now : streamClock;
    const fresh = stored.length === 0;
    const state = fresh ? createEntityState(layout, expiredBefore(layout, clock)) : decodeEntityState(layout, stored);
    const ledger = fresh ? createLedger(layout) : readLedger(layout, stored);
    let changed = false;
    const given = readTiles(frame.bytes());
    for (const { start, partials } of adds ? joinTiles(given) : given) {
      tiles++;
      const tile = mergePartials(layouts, partials);
      if (tile.maxEventTime > state.maxEventTime) {
        state.maxEventTime = tile.maxEventTime;
        changed = true;
      }
      if (!wall) clock = Math.max(clock, tile.maxEventTime + 1);
      if (contribute(layout, state, ledger, clock, start, generation, tile)) changed = true;
    }
    if (!changed) {
      out.bytes(NONE);
      out.zigzag(0);
      out.zigzag(Number.isFinite(state.maxEventTime) ? state.maxEventTime : 0);
      continue;
    }
    pruneState(layout, state, clock);
    pruneLedger(layout, ledger, clock);
    out.bytes(writeWithLedger(layout, encodeEntityState(layout, state), ledger));
    out.zigzag(expiryOf(layout, state.maxEventTime) ?? 0);
    out.zigzag(state.maxEventTime);
  }
  out.varint(tiles);
}

interface GivenTile {
  readonly family: number;
  readonly start: number;
  readonly partials: Uint8Array;
}

function readTiles(bytes: Uint8Array): GivenTile[] {
  const input = createByteReader(bytes);
  const tiles: GivenTile[] = [];
  while (input.remaining > 0) {
    const start = input.zigzag();
    const length = input.varint();
    const from = input.position;
    input.varint();
    input.u32();
    const family = input.varint();
    const end = from + length;
    input.skip(end - input.position);
    tiles.push({ family, start, partials: bytes.subarray(from, end) });
  }
  return tiles;
}

/** The tiles in order, each once: partials of equal places one behind the other. */
function joinTiles(tiles: GivenTile[]): readonly GivenTile[] {
  tiles.sort((a, b) => a.family - b.family || a.start - b.start);
  const joined: GivenTile[] = [];
  for (let from = 0; from < tiles.length; ) {
    const { family, start, partials } = tiles[from]!;
    let to = from + 1;
    while (to < tiles.length && tiles[to]!.start === start && tiles[to]!.family === family) to++;
    const all = to === from + 1 ? partials : concatenated(tiles.slice(from, to));
    joined.push({ family, start, partials: all });
    from = to;
  }
  return joined;
}

function concatenated(tiles: readonly GivenTile[]): Uint8Array {
  const all = createByteWriter(1_024);
  for (const { partials } of tiles) all.raw(partials);
  return all.view();
}

/** Puts a generation's tile in; false if it is known, whole or in a later pane. */
function contribute(
  layout: ViewLayout,
  state: EntityState,
  ledger: TileLedger,
  clock: number,
  start: number,
  generation: number,
  tile: PartialHead,
): boolean {
  const family = layout.families[tile.family]!;
  const familyState = state.families[tile.family]!;
  if (family.hopMs > 0) {
    const needed = neededFrom(family, layout.futureBoundMs, clock);
    if (start < needed) {
      if (familyState.completeFrom >= needed) return false;
      familyState.completeFrom = needed;
      return true;
    }
  }
  const contributions = ledger[tile.family]!;
  const known = contributions.get(start);
  if (known === undefined) {
    contributions.set(start, [{ generation, count: tile.count, states: null }]);
    putTile(family, state, tile.family, start, tile.states);
    return true;
  }
  const own = known.find((one) => one.generation === generation);
  if (own !== undefined && own.count >= tile.count) return false;
  if (own !== undefined) own.count = tile.count;
  if (own !== undefined && known.length === 1) {
    putTile(family, state, tile.family, start, tile.states);
    return true;
  }
  if (own !== undefined) own.states = tile.states;
  else {
    if (known.length === 1) known[0]!.states = tileBytes(family, state, tile.family, start);
    known.push({ generation, count: tile.count, states: tile.states });
    known.sort((a, b) => a.generation - b.generation);
  }
  putTile(family, state, tile.family, start, mergeStates(family, known));
  return true;
}

function mergeStates({ slots }: TileFamily, contributions: readonly Contribution[]): Uint8Array {
  const merged = slots.map((slot) => slot.aggregation.create());
  for (const { states } of contributions) {
    const input = createByteReader(states!);
    for (let s = 0; s < slots.length; s++) {
      const { aggregation } = slots[s]!;
      merged[s] = aggregation.merge(merged[s], aggregation.decode(input));
    }
  }
  scratch.reset();
  for (let s = 0; s < slots.length; s++) slots[s]!.aggregation.encode(merged[s], scratch);
  return scratch.finish();
}

/** Sets a tile's states, in its place among the others. */
function putTile(family: TileFamily, state: EntityState, index: number, start: number, states: Uint8Array): void {
  const tiles = state.families[index]!;
  const late = tiles.packed > 0 && start <= tiles.lastPosition * positionUnit(family);
  const list = late ? unpackTiles(family, tiles) : tiles.tiles;
  const made = { start, states: null, bytes: states, from: 0, to: states.length };
  let at = list.length - 1;
  while (at >= 0 && list[at]!.start > start) at--;
  if (at >= 0 && list[at]!.start === start) list[at] = made;
  else list.splice(++at, 0, made);
  if (at === list.length - 1) tiles.newest = made;
}

/** A copy of a tile's encoded states. */
function tileBytes(family: TileFamily, state: EntityState, index: number, start: number): Uint8Array {
  const tile = unpackTiles(family, state.families[index]!).find((one) => one.start === start)!;
  return tile.bytes!.slice(tile.from, tile.to);
}

function pruneLedger(layout: ViewLayout, ledger: TileLedger, clock: number): void {
  for (let f = 0; f < ledger.length; f++) {
    const family = layout.families[f]!;
    if (family.hopMs === 0) continue;
    const needed = neededFrom(family, layout.futureBoundMs, clock);
    for (const start of ledger[f]!.keys()) if (start < needed) ledger[f]!.delete(start);
  }
}
