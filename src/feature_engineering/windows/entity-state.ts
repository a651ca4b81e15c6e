import { millraceError } from "../../definitions/errors.ts";
import { type ByteReader, createByteReader } from "../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../encoding/byte-writer.ts";
import { createFamilyState, type FamilyState, placeTiles, readTiles, writeTiles } from "./packed-tiles.ts";
import type { ViewLayout } from "./view-layout.ts";

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
  /** What the state was encoded into last, with room to grow, to be written again the next time. */
  buffer: Uint8Array | null;
}

/** The last offset of a partition that a value holds. */
export type Position = readonly [partitionId: number, offset: number];

/** The state of an entity of which nothing was folded yet. */
export function createEntityState(layout: ViewLayout, completeFrom: number = Number.NEGATIVE_INFINITY): EntityState {
  return {
    maxEventTime: Number.NEGATIVE_INFINITY,
    partitionId: -1,
    offset: -1,
    others: null,
    families: layout.families.map(() => createFamilyState(completeFrom)),
    buffer: null,
  };
}

const FORMAT = 2;
const scratch: ByteWriter = createByteWriter(16_384);

/**
 * Packs a state: format, largest event time, positions, then per family how far it is complete and its tiles (see
 * `writeTiles`). Equal states have equal bytes. `positions`, by partition, default to the state's own. They are valid until the state is encoded again: whoever keeps them copies.
 */
export function encodeEntityState(
  layout: ViewLayout,
  state: EntityState,
  positions: readonly Position[] = positionsOf(state),
): Uint8Array {
  const out = scratch;
  out.reset();
  writePackedHead(out, state.maxEventTime, positions);
  const { families } = state;
  for (let index = 0; index < families.length; index++) {
    writePackedTime(out, families[index]!.completeFrom);
    writeTiles(layout.families[index]!, families[index]!, out);
  }
  const length = out.position;
  let buffer = state.buffer;
  if (buffer === null || buffer.length < length) {
    // A quarter more, so that a state that grows by a tile now and then keeps its memory.
    buffer = new Uint8Array((length + (length >> 2) + 63) & ~63);
    state.buffer = buffer;
  }
  buffer.set(out.view());
  for (let index = 0; index < families.length; index++) placeTiles(families[index]!, buffer);
  return buffer.subarray(0, length);
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
  for (const [partitionId, offset] of readPackedPositions(input)) setPosition(state, partitionId, offset);
  const families = layout.families.map((family) => {
    const completeFrom = readPackedTime(input);
    return readTiles(family, completeFrom, input, bytes);
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

/** All positions, by partition. */
function positionsOf(state: EntityState): Position[] {
  const all: Position[] = state.others === null ? [] : [...state.others];
  if (state.partitionId >= 0) all.push([state.partitionId, state.offset]);
  return all.length < 2 ? all : all.sort((a, b) => a[0] - b[0]);
}

/** Writes what comes before the families. */
export function writePackedHead(out: ByteWriter, maxEventTime: number, positions: readonly Position[]): void {
  out.u8(FORMAT);
  writePackedTime(out, maxEventTime);
  out.varint(positions.length);
  for (let i = 0; i < positions.length; i++) {
    out.varint(positions[i]![0]);
    out.varint(positions[i]![1]);
  }
}

export function writePackedTime(out: ByteWriter, time: number): void {
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

const none: readonly Position[] = [];

export function readPackedPositions(input: ByteReader): readonly Position[] {
  const count = input.varint();
  if (count === 0) return none;
  const positions: Position[] = [];
  for (let left = count; left > 0; left--) positions.push([input.varint(), input.varint()]);
  return positions;
}

/** The positions in a packed value. @throws `VALUE_CORRUPT` */
export function packedPositions(layout: ViewLayout, bytes: Uint8Array): readonly Position[] {
  const input = readPackedHead(layout, bytes);
  readPackedTime(input);
  return readPackedPositions(input);
}

export function readPackedTime(input: ByteReader): number {
  return input.u8() === 0 ? Number.NEGATIVE_INFINITY : input.zigzag();
}
