import type { Value } from "../../definitions/value.ts";
import type { ByteReader } from "../encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../encoding/byte-writer.ts";
import { malformedBytes } from "../encoding/encoding-errors.ts";
import { murmur3 } from "../encoding/murmur3.ts";
import type { Aggregation } from "./aggregation.ts";
import { addHash, estimateCardinality, registerCount } from "./hyper-log-log.ts";

/** Up to so many distinct values the count is exact, but for collisions of 64-bit hashes. */
export const exactDistinctLimit = 512;

/** A set of 64-bit hashes: the hashes themselves up to the limit, above it the HyperLogLog of them. */
export interface DistinctState {
  /** How many hashes `hashes` holds. */
  count: number;
  /** Pairs of high and low words, sorted as unsigned 64-bit integers; null once there are registers. */
  hashes: Uint32Array | null;
  registers: Uint8Array | null;
}

/**
 * The number of distinct values that are not null: exact up to 512 (two values of one 64-bit hash count once, which
 * for 512 values happens once in 10^14), above that estimated with a standard error of 1.6 % and rounded to an integer.
 * 0 for none.
 */
export const countDistinctAggregation: Aggregation<DistinctState> = {
  name: "count_distinct",
  takesNulls: false,
  state: "count_distinct",
  create: createDistinct,
  add(state, value) {
    hashValue(value, words);
    insertHash(state, words[0]!, words[1]!);
    return state;
  },
  merge: mergeDistinct,
  finish: (state) => (state.registers === null ? state.count : estimateAboveLimit(state.registers)),
  encode: encodeDistinct,
  decode: decodeDistinct,
};

/** The count of a set that is known to be above the limit. */
export function estimateAboveLimit(registers: Uint8Array): number {
  return Math.max(exactDistinctLimit + 1, Math.round(estimateCardinality(registers)));
}

const scratch = createByteWriter(256);
const words = new Uint32Array(4);

/** Murmur3 of the value's tagged bytes; its first two words are the hash that sets are made of. */
export function hashValue(value: Value, out: Uint32Array): void {
  scratch.reset();
  scratch.value(value);
  murmur3(scratch.reserve(0), 0, scratch.position, 0, out);
}

// All empty states share it; it has no room, so nothing is ever written into it.
const noHashes = new Uint32Array(0);

function createDistinct(): DistinctState {
  return { count: 0, hashes: noHashes, registers: null };
}

function insertHash(state: DistinctState, high: number, low: number): void {
  if (state.registers !== null) {
    addHash(state.registers, high, low);
    return;
  }
  const hashes = state.hashes!;
  let from = 0;
  let to = state.count;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const difference = hashes[2 * middle]! - high || hashes[2 * middle + 1]! - low;
    if (difference === 0) return;
    if (difference < 0) from = middle + 1;
    else to = middle;
  }
  if (state.count === exactDistinctLimit) {
    addHash(toRegisters(state), high, low);
    return;
  }
  const end = 2 * state.count;
  const room = end < hashes.length ? hashes : grown(state);
  // A call of copyWithin() costs more than moving a few words here.
  if (end - 2 * from > 64) room.copyWithin(2 * from + 2, 2 * from, end);
  else for (let index = end - 1; index >= 2 * from; index--) room[index + 2] = room[index]!;
  room[2 * from] = high;
  room[2 * from + 1] = low;
  state.count++;
}

function grown(state: DistinctState): Uint32Array {
  const larger = new Uint32Array(Math.max(8, 2 * state.hashes!.length));
  larger.set(state.hashes!);
  state.hashes = larger;
  return larger;
}

/** Turns the set into registers, if it is not yet. */
function toRegisters(state: DistinctState): Uint8Array {
  if (state.registers !== null) return state.registers;
  const registers = new Uint8Array(registerCount);
  const hashes = state.hashes!;
  for (let index = 0; index < 2 * state.count; index += 2) addHash(registers, hashes[index]!, hashes[index + 1]!);
  state.registers = registers;
  state.hashes = null;
  state.count = 0;
  return registers;
}

function mergeDistinct(into: DistinctState, other: DistinctState): DistinctState {
  if (other.registers === null) {
    const hashes = other.hashes!;
    for (let index = 0; index < 2 * other.count; index += 2) insertHash(into, hashes[index]!, hashes[index + 1]!);
    return into;
  }
  const registers = toRegisters(into);
  for (let index = 0; index < registerCount; index++) {
    if (other.registers[index]! > registers[index]!) registers[index] = other.registers[index]!;
  }
  return into;
}

/** A varint of (count + 1) and the sorted hashes; or 0 and the registers in six bits each, four in three bytes. */
function encodeDistinct(state: DistinctState, out: ByteWriter): void {
  if (state.registers === null) {
    out.varint(state.count + 1);
    for (let index = 0; index < 2 * state.count; index++) out.u32(state.hashes![index]!);
    return;
  }
  out.varint(0);
  const registers = state.registers;
  for (let index = 0; index < registerCount; index += 4) {
    const packed =
      registers[index]! | (registers[index + 1]! << 6) | (registers[index + 2]! << 12) | (registers[index + 3]! << 18);
    out.u8(packed & 255);
    out.u8((packed >> 8) & 255);
    out.u8(packed >> 16);
  }
}

function decodeDistinct(input: ByteReader): DistinctState {
  const header = input.varint();
  if (header === 0) {
    const registers = new Uint8Array(registerCount);
    for (let index = 0; index < registerCount; index += 4) {
      const packed = input.u8() | (input.u8() << 8) | (input.u8() << 16);
      registers[index] = packed & 63;
      registers[index + 1] = (packed >> 6) & 63;
      registers[index + 2] = (packed >> 12) & 63;
      registers[index + 3] = packed >> 18;
    }
    return { count: 0, hashes: null, registers };
  }
  const count = header - 1;
  if (count > exactDistinctLimit) throw malformedBytes(`a set of ${count} hashes`, input.position);
  const hashes = new Uint32Array(2 * count);
  for (let index = 0; index < 2 * count; index++) hashes[index] = input.u32();
  return { count, hashes, registers: null };
}
