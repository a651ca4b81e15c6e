import type { Value } from "../../definitions/value.ts";
import { valueTag } from "./byte-writer.ts";
import { malformedBytes } from "./encoding-errors.ts";
import { readUtf8 } from "./utf8.ts";

/** Reads what a `ByteWriter` wrote, in the same order. Bytes that are cut short or malformed throw. */
export interface ByteReader {
  /** The index of the next byte within the array that was given. */
  readonly position: number;
  /** How many bytes are left. */
  readonly remaining: number;
  u8(): number;
  /** An unsigned integer. */
  u32(): number;
  varint(): number;
  zigzag(): number;
  f64(): number;
  /** The next `length` bytes, not copied. */
  raw(length: number): Uint8Array;
  /** Length-prefixed bytes, not copied. */
  bytes(): Uint8Array;
  string(): string;
  bigint(): bigint;
  value(): Value;
  skip(length: number): void;
}

/** A reader of `bytes` from `start` (default 0) to before `end` (default its length). */
export function createByteReader(bytes: Uint8Array, start = 0, end: number = bytes.length): ByteReader {
  return new ArrayByteReader(bytes, start, end);
}

// A class for the same reason as the writer's.
class ArrayByteReader implements ByteReader {
  position: number;
  readonly #bytes: Uint8Array;
  readonly #data: DataView;
  readonly #end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.#end = Math.min(end, bytes.length);
  }

  get remaining(): number {
    return this.#end - this.position;
  }

  /** Moves on by `length` bytes and returns where they start. */
  #take(length: number): number {
    const start = this.position;
    if (length > this.#end - start) throw malformedBytes(`${length} bytes are expected, ${this.remaining} left`, start);
    this.position = start + length;
    return start;
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u32(): number {
    return this.#data.getUint32(this.#take(4), true);
  }

  varint(): number {
    const first = this.u8();
    return first < 128 ? first : this.#varintTail(first & 127, 128);
  }

  /** The rest of a varint whose low bits are `low`; `scale` is the weight of the next byte. */
  #varintTail(low: number, scale: number): number {
    let result = low;
    let weight = scale;
    for (;;) {
      const byte = this.u8();
      result += (byte & 127) * weight;
      if (byte < 128) break;
      weight *= 128;
      if (weight > 2 ** 53) throw malformedBytes("a varint beyond 2^53", this.position);
    }
    if (result > 2 ** 53) throw malformedBytes("a varint beyond 2^53", this.position);
    return result;
  }

  zigzag(): number {
    const first = this.u8();
    const low = (first & 127) >> 1;
    const magnitude = first < 128 ? low : this.#varintTail(low, 64);
    return (first & 1) === 1 ? -magnitude - 1 : magnitude;
  }

  f64(): number {
    return this.#data.getFloat64(this.#take(8), true);
  }

  raw(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  skip(length: number): void {
    if (length < 0) throw malformedBytes(`${-length} bytes more were read than belong to one thing`, this.position);
    this.#take(length);
  }

  string(): string {
    const length = this.varint();
    const start = this.#take(length);
    return readUtf8(this.#bytes, start, start + length);
  }

  bigint(): bigint {
    const header = this.varint();
    const count = Math.floor(header / 2);
    const start = this.#take(count);
    let magnitude = 0n;
    for (let index = count - 1; index >= 0; ) {
      if (index >= 7) {
        magnitude = (magnitude << 64n) | this.#data.getBigUint64(start + index - 7, true);
        index -= 8;
      } else {
        magnitude = (magnitude << 8n) | BigInt(this.#bytes[start + index]!);
        index -= 1;
      }
    }
    return header % 2 === 1 ? -magnitude : magnitude;
  }

  value(): Value {
    const tag = this.u8();
    switch (tag) {
      case valueTag.null:
        return null;
      case valueTag.false:
        return false;
      case valueTag.true:
        return true;
      case valueTag.string:
        return this.string();
      case valueTag.integer:
        return this.zigzag();
      case valueTag.float64:
        return this.f64();
      case valueTag.bigint:
        return this.bigint();
      case valueTag.list: {
        const count = this.varint();
        if (count > this.remaining)
          throw malformedBytes(`a list of ${count} items, ${this.remaining} bytes left`, this.position);
        const items: Value[] = [];
        for (let index = 0; index < count; index++) items.push(this.value());
        return items;
      }
      default:
        throw malformedBytes(`${tag} is no value tag`, this.position - 1);
    }
  }
}
