import type { Value } from "../../definitions/value.ts";
import { notEncodable } from "./encoding-errors.ts";
import { utf8Length, writeUtf8 } from "./utf8.ts";

/** The first byte of a tagged value. The numbers are stored: never renumber them. */
export const valueTag = {
  null: 0,
  false: 1,
  true: 2,
  string: 3,
  integer: 4,
  float64: 5,
  bigint: 6,
  list: 7,
} as const;

/**
 * Appends to a growing byte array; `createByteReader` reads the same things back in the same order. Multi-byte numbers
 * are little endian. Every method has one encoding per value, so equal values give equal bytes.
 */
export interface ByteWriter {
  /** How many bytes have been written since the start or the last `reset`. */
  readonly position: number;
  /** An integer from 0 to 255. */
  u8(value: number): void;
  /** An integer from 0 to 2^32 − 1; a signed 32-bit word is written by its bits. Four bytes. */
  u32(value: number): void;
  /** An integer from 0 to 2^53 as unsigned LEB128: one byte per seven bits. */
  varint(value: number): void;
  /** An integer from −2^53 to 2^53 as zigzag LEB128: small magnitudes of both signs are short. */
  zigzag(value: number): void;
  /** Eight bytes, IEEE 754. */
  f64(value: number): void;
  /** The bytes as they are, with no length before them. */
  raw(bytes: Uint8Array): void;
  /** The length as a varint, then the bytes. */
  bytes(bytes: Uint8Array): void;
  /** The UTF-8 length as a varint, then the UTF-8 bytes. A lone surrogate is written as U+FFFD. */
  string(value: string): void;
  /** Any bigint: a varint of (number of magnitude bytes · 2 + sign), then the magnitude. */
  bigint(value: bigint): void;
  /** Any value with its tag. An integer-valued number takes a zigzag varint, another number eight bytes. */
  value(value: Value): void;
  /**
   * The memory, with room for `count` more bytes from `position` on: for encoders that write in place and then call
   * `advance`. Valid until the next write.
   */
  reserve(count: number): Uint8Array;
  /** Counts `count` reserved bytes as written. */
  advance(count: number): void;
  /** Overwrites four bytes at an earlier position, for a length that is known only afterwards. */
  patchU32(position: number, value: number): void;
  /** Starts again at position 0 and keeps the memory. */
  reset(): void;
  /** A copy of what was written. */
  finish(): Uint8Array;
  /** What was written, not copied: valid until the next write or `reset`. */
  view(): Uint8Array;
}

/** A writer with room for `initialCapacity` bytes (default 256); it grows by doubling. */
export function createByteWriter(initialCapacity = 256): ByteWriter {
  return new GrowableByteWriter(initialCapacity);
}

const two53 = 2 ** 53;

// A class, because all writers then share one set of methods, which V8 inlines at every call site; closures made per
// writer are different function objects and stay calls. With eight writers alive on Node 24: 1.3 ns per small write,
// as closures 11 ns.
class GrowableByteWriter implements ByteWriter {
  position = 0;
  #bytes: Uint8Array;
  #data: DataView;

  constructor(initialCapacity: number) {
    this.#bytes = new Uint8Array(Math.max(16, initialCapacity));
    this.#data = new DataView(this.#bytes.buffer);
  }

  reserve(count: number): Uint8Array {
    const needed = this.position + count;
    if (needed > this.#bytes.length) this.#grow(needed);
    return this.#bytes;
  }

  advance(count: number): void {
    this.position += count;
  }

  #grow(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.position));
    this.#bytes = larger;
    this.#data = new DataView(larger.buffer);
  }

  u8(value: number): void {
    this.reserve(1);
    this.#bytes[this.position++] = value;
  }

  u32(value: number): void {
    this.reserve(4);
    this.#data.setUint32(this.position, value, true);
    this.position += 4;
  }

  patchU32(position: number, value: number): void {
    this.#data.setUint32(position, value, true);
  }

  varint(value: number): void {
    this.reserve(8);
    if (value >= 0 && value < 128) {
      this.#bytes[this.position++] = value;
      if (value !== Math.floor(value)) throw notEncodable("varint", value);
      return;
    }
    if (!(value >= 0 && value <= two53) || value !== Math.floor(value)) throw notEncodable("varint", value);
    this.#varintTail(value);
  }

  #varintTail(value: number): void {
    const bytes = this.#bytes;
    let position = this.position;
    let rest = value;
    while (rest >= 0x80000000) {
      // >>> 0 keeps the low 32 bits of a larger integer, so the low seven bits are right.
      bytes[position++] = ((rest >>> 0) & 127) | 128;
      rest = Math.floor(rest / 128);
    }
    let word = rest | 0;
    while (word >= 128) {
      bytes[position++] = (word & 127) | 128;
      word >>>= 7;
    }
    bytes[position++] = word;
    this.position = position;
  }

  zigzag(value: number): void {
    if (!(value >= -two53 && value <= two53) || value !== Math.floor(value)) throw notEncodable("zigzag", value);
    this.reserve(9);
    // The zigzag of 2^53 needs 55 bits, so the sign and the low six bits go into the first byte and the rest follows.
    const sign = value < 0 ? 1 : 0;
    const magnitude = value < 0 ? -(value + 1) : value;
    if (magnitude < 64) {
      this.#bytes[this.position++] = (magnitude << 1) | sign;
      return;
    }
    this.#bytes[this.position++] = (((magnitude >>> 0) & 63) << 1) | sign | 128;
    this.#varintTail(Math.floor(magnitude / 64));
  }

  f64(value: number): void {
    this.reserve(8);
    this.#data.setFloat64(this.position, value, true);
    this.position += 8;
  }

  raw(bytes: Uint8Array): void {
    const length = bytes.length;
    this.reserve(length);
    if (length <= 32) {
      // A call of set() costs more than copying a few bytes here.
      for (let index = 0; index < length; index++) this.#bytes[this.position + index] = bytes[index]!;
    } else {
      this.#bytes.set(bytes, this.position);
    }
    this.position += length;
  }

  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  string(value: string): void {
    const length = value.length;
    if (length < 128) {
      this.reserve(length + 1);
      const bytes = this.#bytes;
      const start = this.position + 1;
      let index = 0;
      while (index < length) {
        const unit = value.charCodeAt(index);
        if (unit >= 128) break;
        bytes[start + index++] = unit;
      }
      if (index === length) {
        bytes[start - 1] = length;
        this.position = start + length;
        return;
      }
    }
    const byteLength = utf8Length(value);
    this.varint(byteLength);
    this.reserve(byteLength);
    this.position = writeUtf8(value, this.#bytes, this.position);
  }

  bigint(value: bigint): void {
    const sign = value < 0n ? 1 : 0;
    let rest = sign === 1 ? -value : value;
    const count = rest === 0n ? 0 : (rest.toString(16).length + 1) >> 1;
    this.varint(count * 2 + sign);
    this.reserve(count + 8);
    const end = this.position + count;
    for (let position = this.position; position < end; position += 8) {
      this.#data.setBigUint64(position, BigInt.asUintN(64, rest), true);
      rest >>= 64n;
    }
    this.position = end;
  }

  value(value: Value): void {
    if (value === null) this.u8(valueTag.null);
    else if (typeof value === "number") {
      if (Number.isSafeInteger(value)) {
        this.u8(valueTag.integer);
        this.zigzag(value);
      } else {
        this.u8(valueTag.float64);
        this.f64(value);
      }
    } else if (typeof value === "string") {
      this.u8(valueTag.string);
      this.string(value);
    } else if (typeof value === "bigint") {
      this.u8(valueTag.bigint);
      this.bigint(value);
    } else if (typeof value === "boolean") {
      this.u8(value ? valueTag.true : valueTag.false);
    } else {
      this.u8(valueTag.list);
      this.varint(value.length);
      for (const item of value) this.value(item);
    }
  }

  reset(): void {
    this.position = 0;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.position);
  }

  view(): Uint8Array {
    return this.#bytes.subarray(0, this.position);
  }
}
