/** Reads Avro's binary encoding, byte by byte; throws where the bytes end too early. */
export interface AvroCursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
  /** Moves on and returns where it was. */
  take(length: number): number;
  byte(): number;
  /** Beyond 2^53 rounded. */
  long(): number;
  exactLong(): bigint;
  /** Not copied. */
  slice(length: number): Uint8Array;
  text(): string;
}

/** The text of the UTF-8 bytes in [start, end); what is invalid becomes U+FFFD. */
export type Utf8Text = (bytes: Uint8Array, start: number, end: number) => string;

export function avroCursor(bytes: Uint8Array, at: number, utf8Text: Utf8Text): AvroCursor {
  return new Cursor(bytes, at, utf8Text);
}

/** The largest long that is read as a number, and the least. */
export const MOST_SAFE: number = 2 ** 53 - 2;

// A class, since one is made of every message.
class Cursor implements AvroCursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly utf8Text: Utf8Text;
  at: number;

  constructor(bytes: Uint8Array, at: number, utf8Text: Utf8Text) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.utf8Text = utf8Text;
    this.at = at;
  }

  take(length: number): number {
    const from = this.at;
    if (!(length >= 0) || length > this.bytes.length - from) throw new RangeError("truncated buffer");
    this.at = from + length;
    return from;
  }

  byte(): number {
    return this.bytes[this.take(1)]!;
  }

  long(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      value |= (byte & 127) << shift;
      if (byte < 128) return (value >>> 1) ^ -(value & 1);
    }
    for (let scale = 2 ** 28; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return (value % 2 === 0 ? value : -(value + 1)) / 2;
    }
  }

  exactLong(): bigint {
    const from = this.at;
    const value = this.long();
    if (value > -MOST_SAFE && value < MOST_SAFE) return BigInt(value);
    let digits = 0n;
    for (let at = from, shift = 0n; at < this.at; at++, shift += 7n) digits |= BigInt(this.bytes[at]! & 127) << shift;
    return BigInt.asIntN(64, (digits >> 1n) ^ -(digits & 1n));
  }

  slice(length: number): Uint8Array {
    const from = this.take(length);
    return this.bytes.subarray(from, from + length);
  }

  text(): string {
    const length = this.long();
    const from = this.take(length);
    return this.utf8Text(this.bytes, from, from + length);
  }
}
