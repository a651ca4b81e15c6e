import { millraceError } from "../../definitions/errors.ts";
import { type ByteReader, createByteReader } from "../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../encoding/byte-writer.ts";
import type { TileFamily, ViewLayout } from "./view-layout.ts";

/** The partial aggregates of all events of one (view, entity) within [start, start + hop). */
export interface Tile {
  /** Epoch milliseconds; 0 for the lifetime tile. */
  readonly start: number;
  /** One state per slot of the family; null while only the encoded form is there. */
  states: unknown[] | null;
  /** Holds the encoded states at [from, to); null after a change. Shared by all tiles of a value, never written. */
  bytes: Uint8Array | null;
  from: number;
  to: number;
}

export interface FamilyState {
  /** Tiles that start before it may be missing: they were dropped. −Infinity if none was. Epoch milliseconds. */
  completeFrom: number;
  /** By start, ascending. A tile exists iff it holds at least one event, counted before any `where`. */
  readonly tiles: Tile[];
}

/** Everything that the hot store keeps of one (view, entity). */
export interface EntityState {
  /** The largest event time folded, before any `where`; −Infinity if none. Epoch milliseconds. */
  maxEventTime: number;
  /**
   * The last position folded per partition, for partitions whose durable `applied` is below it. The partition folded
   * last stands here (−1: none), for speed; `others` holds the rest, null while there is none.
   */
  partitionId: number;
  offset: number;
  others: Map<number, number> | null;
  readonly families: readonly FamilyState[];
}

/** The state of an entity of which nothing was folded yet. */
export function createEntityState(layout: ViewLayout, completeFrom: number = Number.NEGATIVE_INFINITY): EntityState {
  return {
    maxEventTime: Number.NEGATIVE_INFINITY,
    partitionId: -1,
    offset: -1,
    others: null,
    families: layout.families.map(() => ({ completeFrom, tiles: [] })),
  };
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

const FORMAT = 1;
const scratch: ByteWriter = createByteWriter(4_096);
const tileScratch: ByteWriter = createByteWriter(1_024);

/**
 * Packs a state: format, largest event time, positions, then per family how far it is complete and its tiles (start in
 * hops, byte length, states). Equal states have equal bytes.
 */
export function encodeEntityState(layout: ViewLayout, state: EntityState): Uint8Array {
  const out = scratch;
  out.reset();
  out.u8(FORMAT);
  writeTime(out, state.maxEventTime);
  const positions = positionsOf(state);
  out.varint(positions.length);
  for (const [partition, offset] of positions) {
    out.varint(partition);
    out.varint(offset);
  }
  for (let index = 0; index < layout.families.length; index++) {
    encodeFamily(out, layout.families[index]!, state.families[index]!);
  }
  const bytes = out.finish();
  for (const family of state.families) {
    for (const tile of family.tiles) {
      tile.bytes = bytes;
      // Only the newest tile is likely to change again soon; the others stay encoded, which is smaller.
      if (tile !== family.tiles[family.tiles.length - 1]) tile.states = null;
    }
  }
  return bytes;
}

function encodeFamily(out: ByteWriter, family: TileFamily, state: FamilyState): void {
  writeTime(out, state.completeFrom);
  out.varint(state.tiles.length);
  const hop = family.hopMs === 0 ? 1 : family.hopMs;
  let previous = 0;
  for (const tile of state.tiles) {
    const position = tile.start / hop;
    out.zigzag(position - previous);
    previous = position;
    if (tile.bytes === null) {
      tileScratch.reset();
      for (let slot = 0; slot < family.slots.length; slot++) {
        family.slots[slot]!.aggregation.encode(tile.states![slot], tileScratch);
      }
      tile.bytes = tileScratch.reserve(0);
      tile.from = 0;
      tile.to = tileScratch.position;
    }
    const length = tile.to - tile.from;
    out.varint(length);
    copy(tile.bytes, tile.from, out, length);
    tile.from = out.position - length;
    tile.to = out.position;
  }
}

/** Tiles are short: a loop beats the two views that `set` would need. */
function copy(bytes: Uint8Array, from: number, out: ByteWriter, length: number): void {
  const target = out.reserve(length);
  const at = out.position;
  if (length <= 96) for (let i = 0; i < length; i++) target[at + i] = bytes[from + i]!;
  else target.set(bytes.subarray(from, from + length), at);
  out.advance(length);
}

/**
 * Unpacks a state; tiles stay encoded until they are needed, and keep referring to `bytes`.
 * @throws `VALUE_CORRUPT` for bytes that are not a packed state of this layout.
 */
export function decodeEntityState(layout: ViewLayout, bytes: Uint8Array): EntityState {
  const input = readPackedHead(layout, bytes);
  const maxEventTime = readPackedTime(input);
  const state = createEntityState(layout);
  state.maxEventTime = maxEventTime;
  for (let left = input.varint(); left > 0; left--) setPosition(state, input.varint(), input.varint());
  const families = layout.families.map((family): FamilyState => {
    const completeFrom = readPackedTime(input);
    const hop = family.hopMs === 0 ? 1 : family.hopMs;
    const tiles = new Array<Tile>(input.varint());
    let position = 0;
    for (let index = 0; index < tiles.length; index++) {
      position += input.zigzag();
      const length = input.varint();
      const from = input.position;
      input.skip(length);
      tiles[index] = { start: position * hop, states: null, bytes, from, to: from + length };
    }
    return { completeFrom, tiles };
  });
  return { ...state, families };
}

/** The last offset folded of a partition; −1 if it is not known. */
export function positionOf(state: EntityState, partitionId: number): number {
  if (state.partitionId === partitionId) return state.offset;
  return state.others?.get(partitionId) ?? -1;
}

/** Notes that the partition was folded up to the offset. */
export function setPosition(state: EntityState, partitionId: number, offset: number): void {
  if (state.partitionId !== partitionId) {
    state.others?.delete(partitionId);
    if (state.partitionId >= 0) {
      state.others ??= new Map();
      state.others.set(state.partitionId, state.offset);
    }
    state.partitionId = partitionId;
  }
  state.offset = offset;
}

/** Forgets the positions at or below what is durably applied. */
export function prunePositions(state: EntityState, durableApplied: (partitionId: number) => number): void {
  for (const [partition, offset] of state.others ?? []) {
    if (offset <= durableApplied(partition)) state.others!.delete(partition);
  }
  if (state.partitionId >= 0 && state.offset <= durableApplied(state.partitionId)) state.partitionId = -1;
}

/** All positions, by partition. */
function positionsOf(state: EntityState): (readonly [number, number])[] {
  const all: (readonly [number, number])[] = state.others === null ? [] : [...state.others];
  if (state.partitionId >= 0) all.push([state.partitionId, state.offset]);
  return all.length < 2 ? all : all.sort((a, b) => a[0] - b[0]);
}

function writeTime(out: ByteWriter, time: number): void {
  if (time === Number.NEGATIVE_INFINITY) {
    out.u8(0);
  } else {
    out.u8(1);
    out.zigzag(time);
  }
}

/**
 * A reader of a packed value, placed after its format.
 * @throws `VALUE_CORRUPT` for another format.
 */
export function readPackedHead(layout: ViewLayout, bytes: Uint8Array): ByteReader {
  const input = createByteReader(bytes);
  if (input.u8() !== FORMAT) {
    throw millraceError(
      "VALUE_CORRUPT",
      `A stored value of view '${layout.view.name}' has an unknown format: rebuild the view.`,
      { kind: "operational" },
    );
  }
  return input;
}

export function readPackedTime(input: ByteReader): number {
  return input.u8() === 0 ? Number.NEGATIVE_INFINITY : input.zigzag();
}
