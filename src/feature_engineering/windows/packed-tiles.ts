import { type ByteReader, createByteReader } from "../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../encoding/byte-writer.ts";
import type { TileFamily } from "./view-layout.ts";

/** The partial aggregates of all events of one (view, entity) within [start, start + hop). */
export interface Tile {
  /** Epoch milliseconds; 0 for the lifetime tile. */
  readonly start: number;
  /** One state per slot of the family; null while only the encoded form is there. */
  states: unknown[] | null;
  /** Holds the encoded states at [from, to) if `states` is null. */
  bytes: Uint8Array | null;
  from: number;
  to: number;
}

/**
 * The tiles of one size: the older ones packed in bytes, which are copied as they are when the value is written, and the
 * newest as objects. A tile exists iff it holds at least one event, counted before any `where`.
 */
export interface FamilyState {
  /** Tiles that start before it may be missing: they were dropped. −Infinity if none was. Epoch milliseconds. */
  completeFrom: number;
  /** By start, ascending; all of them start after the packed ones. */
  readonly tiles: Tile[];
  /** The newest tile, the last of `tiles`: what most events fall into. */
  newest: Tile | null;
  /** How many tiles are packed, in `bytes` at [from, to); positions are starts in hops. */
  packed: number;
  firstPosition: number;
  lastPosition: number;
  bytes: Uint8Array | null;
  from: number;
  to: number;
}

export function createFamilyState(completeFrom: number): FamilyState {
  return {
    completeFrom,
    tiles: [],
    newest: null,
    packed: 0,
    firstPosition: 0,
    lastPosition: 0,
    bytes: null,
    from: 0,
    to: 0,
  };
}

/** The unit of positions. */
export function positionUnit(family: TileFamily): number {
  return family.hopMs === 0 ? 1 : family.hopMs;
}

/** The decoded states of a tile. */
export function tileStates(family: TileFamily, tile: Tile): unknown[] {
  if (tile.states !== null) return tile.states;
  const reader = createByteReader(tile.bytes!, tile.from, tile.to);
  const states = new Array<unknown>(family.slots.length);
  for (let slot = 0; slot < states.length; slot++) states[slot] = family.slots[slot]!.aggregation.decode(reader);
  tile.states = states;
  return states;
}

/** Makes objects of the packed tiles, still encoded: to change one of them, or to look at each. */
export function unpackTiles(family: TileFamily, state: FamilyState): Tile[] {
  if (state.packed === 0) return state.tiles;
  const unit = positionUnit(family);
  const bytes = state.bytes!;
  const input = createByteReader(bytes, state.from, state.to);
  const tiles: Tile[] = [];
  let position = state.firstPosition;
  for (let left = state.packed; left > 0; left--) {
    if (tiles.length > 0) position += input.varint();
    const length = input.varint();
    const from = input.position;
    input.skip(length);
    tiles.push({ start: position * unit, states: null, bytes, from, to: from + length });
  }
  state.tiles.unshift(...tiles);
  state.packed = 0;
  state.bytes = null;
  return state.tiles;
}

/** Drops the tiles that start before `needed`; true if there was one. */
export function dropTiles(family: TileFamily, state: FamilyState, needed: number): boolean {
  const unit = positionUnit(family);
  let dropped = false;
  if (state.packed > 0 && state.firstPosition * unit < needed) {
    dropped = true;
    const input = createByteReader(state.bytes!, state.from, state.to);
    while (state.packed > 0 && state.firstPosition * unit < needed) {
      input.skip(input.varint());
      state.packed--;
      if (state.packed > 0) state.firstPosition += input.varint();
    }
    state.from = input.position;
  }
  if (state.packed > 0) return dropped;
  let drop = 0;
  while (drop < state.tiles.length && state.tiles[drop]!.start < needed) drop++;
  if (drop > 0) state.tiles.splice(0, drop);
  if (state.tiles.length === 0) state.newest = null;
  return dropped || drop > 0;
}

const middle: ByteWriter = createByteWriter(1_024);
const newestStates: ByteWriter = createByteWriter(1_024);

/**
 * Writes the tiles: their number; the newest one's position, byte length and states; then, if there are more, the byte
 * length of what follows, how many positions the first and the last of them lie before the newest, and each of them, from
 * the oldest: its distance from the one before (but for the first), byte length and states. Equal tiles have equal bytes.
 *
 * Afterwards all but the newest are packed in what was written: `placeTiles` says where that was copied to.
 */
export function writeTiles(family: TileFamily, state: FamilyState, out: ByteWriter): void {
  const { tiles } = state;
  out.varint(state.packed + tiles.length);
  if (tiles.length === 0) return;
  const unit = positionUnit(family);
  const newest = tiles[tiles.length - 1]!;
  const newestPosition = newest.start / unit;
  out.zigzag(newestPosition);
  writeStates(family, newest, out);
  newest.to = out.position;
  if (state.packed + tiles.length === 1) return;

  middle.reset();
  for (let index = 0; index < tiles.length - 1; index++) {
    const position = tiles[index]!.start / unit;
    if (state.packed + index === 0) state.firstPosition = position;
    else middle.varint(position - state.lastPosition);
    state.lastPosition = position;
    writeStates(family, tiles[index]!, middle);
  }
  out.varint((state.packed > 0 ? state.to - state.from : 0) + middle.position);
  out.varint(newestPosition - state.firstPosition);
  out.varint(newestPosition - state.lastPosition);
  const from = out.position;
  if (state.packed > 0) copyRange(state.bytes!, state.from, state.to, out);
  if (middle.position > 0) copyRange(middle.reserve(0), 0, middle.position, out);
  state.packed += tiles.length - 1;
  state.from = from;
  state.to = out.position;
  tiles[0] = newest;
  tiles.length = 1;
}

/** Says where the bytes of `writeTiles` are now, at the same places. */
export function placeTiles(state: FamilyState, bytes: Uint8Array): void {
  if (state.packed > 0) state.bytes = bytes;
  if (state.tiles.length > 0) state.tiles[0]!.bytes = bytes;
}

/** The byte length and the states of a tile. */
function writeStates(family: TileFamily, tile: Tile, out: ByteWriter): void {
  if (tile.states === null) {
    const { bytes, from, to } = tile;
    out.varint(to - from);
    tile.from = out.position;
    copyRange(bytes!, from, to, out);
    return;
  }
  newestStates.reset();
  const { slots } = family;
  for (let slot = 0; slot < slots.length; slot++) slots[slot]!.aggregation.encode(tile.states[slot], newestStates);
  out.varint(newestStates.position);
  copyRange(newestStates.reserve(0), 0, newestStates.position, out);
}

/** Most ranges are short: a loop beats the two views that `set` would need. */
export function copyRange(bytes: Uint8Array, from: number, to: number, out: ByteWriter): void {
  const length = to - from;
  const target = out.reserve(length);
  const at = out.position;
  if (length <= 96) for (let i = 0; i < length; i++) target[at + i] = bytes[from + i]!;
  else target.set(bytes.subarray(from, to), at);
  out.advance(length);
}

/** Reads what `writeTiles` wrote; everything stays encoded and keeps referring to `bytes`. */
export function readTiles(family: TileFamily, completeFrom: number, input: ByteReader, bytes: Uint8Array): FamilyState {
  const state = createFamilyState(completeFrom);
  const count = input.varint();
  if (count === 0) return state;
  const unit = positionUnit(family);
  const newest = input.zigzag();
  const length = input.varint();
  const from = input.position;
  input.skip(length);
  state.newest = { start: newest * unit, states: null, bytes, from, to: from + length };
  state.tiles.push(state.newest);
  if (count === 1) return state;
  const size = input.varint();
  state.packed = count - 1;
  state.firstPosition = newest - input.varint();
  state.lastPosition = newest - input.varint();
  state.bytes = bytes;
  state.from = input.position;
  input.skip(size);
  state.to = input.position;
  return state;
}
