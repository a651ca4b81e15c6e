import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { malformedBytes } from "../encoding/encoding-errors.ts";

/** Up to this many values of a training column are kept as they are: 32 MiB. */
export const EXACT_VALUES: number = 2 ** 22;
/** Above that, values are rounded to 16 bits: relative error at most 2^−16. */
const SPLITTER = 2 ** 37 + 1;
const LARGE = 2 ** 900;

/** The values of a training column in increasing order. */
export interface SortedSample {
  /** How many values there are. */
  readonly n: number;
  /** All of them, or each distinct one once if there are `counts`. */
  readonly values: Float64Array;
  /** How often each value is there; null: once. */
  readonly counts: Float64Array | null;
  /** The value at a position of the sorted column, from 0. */
  at(position: number): number;
}

/** Gathers a training column. */
export interface Sample {
  add(x: number): void;
  /** Writes the column; equal sets of values have equal bytes. */
  encode(out: ByteWriter): void;
  /** Adds a column that a sample with the same limit wrote. */
  merge(input: ByteReader): void;
  sorted(): SortedSample;
}

/** The first byte of an encoded sample. */
const encoded = { whole: 0, counted: 1 } as const;

/**
 * Gathers finite numbers in bounded memory. Up to `exact` values it is the column itself; above that every value is
 * rounded to 16 significant bits and counted, so that the result still depends only on the set of values.
 */
export function createSample(exact: number = EXACT_VALUES): Sample {
  let buffer = new Float64Array(Math.min(exact, 1_024));
  let filled = 0;
  let coarse: Counted | null = null;

  function add(x: number): void {
    if (filled === buffer.length) {
      if (filled < exact) {
        const larger = new Float64Array(Math.min(exact, filled * 2));
        larger.set(buffer);
        buffer = larger;
      } else {
        coarse = merge(coarse, countRounded(buffer));
        filled = 0;
      }
    }
    buffer[filled++] = x;
  }

  return {
    add,
    encode(out) {
      const rest = buffer.subarray(0, filled);
      if (coarse === null) {
        out.u8(encoded.whole);
        out.varint(filled);
        // Their order in the buffer means nothing.
        for (const value of rest.sort()) out.f64(value);
        return;
      }
      coarse = merge(coarse, countRounded(rest));
      filled = 0;
      out.u8(encoded.counted);
      out.varint(coarse.values.length);
      for (const value of coarse.values) out.f64(value);
      for (const count of coarse.counts) out.varint(count);
    },
    merge(input) {
      const form = input.u8();
      if (form !== encoded.whole && form !== encoded.counted) {
        throw malformedBytes(`${form} is no form of a sample`, input.position - 1);
      }
      const count = input.varint();
      if (form === encoded.whole) {
        for (let left = count; left > 0; left--) add(input.f64());
        return;
      }
      // More than the limit came before it was counted, so all values are: those in the buffer when they are read.
      const values = readNumbers(count, () => input.f64());
      coarse = merge(coarse, { values, counts: readNumbers(count, () => input.varint()) });
    },
    sorted() {
      if (coarse === null) return sample(buffer.slice(0, filled).sort(), null);
      const all = merge(coarse, countRounded(buffer.subarray(0, filled)));
      return sample(all.values, all.counts);
    },
  };
}

function readNumbers(count: number, read: () => number): Float64Array {
  const numbers = new Float64Array(count);
  for (let index = 0; index < count; index++) numbers[index] = read();
  return numbers;
}

interface Counted {
  readonly values: Float64Array;
  readonly counts: Float64Array;
}

function sample(values: Float64Array, counts: Float64Array | null): SortedSample {
  if (counts === null) return { n: values.length, values, counts, at: (position) => values[position]! };
  const ends = new Float64Array(counts.length);
  let n = 0;
  for (let i = 0; i < counts.length; i++) {
    n += counts[i]!;
    ends[i] = n;
  }
  const at = (position: number): number => {
    let low = 0;
    let high = ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle]! > position) high = middle;
      else low = middle + 1;
    }
    return values[low]!;
  };
  return { n, values, counts, at };
}

function countRounded(values: Float64Array): Counted {
  const rounded = values.map(roundTo16Bits).sort();
  const distinct = new Float64Array(rounded.length);
  const counts = new Float64Array(rounded.length);
  let last = -1;
  for (const value of rounded) {
    if (last < 0 || distinct[last] !== value) distinct[++last] = value;
    counts[last]!++;
  }
  return { values: distinct.slice(0, last + 1), counts: counts.slice(0, last + 1) };
}

/** Veltkamp's split: the upper part of a double. */
function roundTo16Bits(x: number): number {
  const scale = Math.abs(x) > LARGE ? 2 ** -100 : 1;
  const scaled = x * scale;
  const c = SPLITTER * scaled;
  const rounded = (c - (c - scaled)) / scale;
  return Number.isFinite(rounded) ? rounded + 0 : x;
}

function merge(a: Counted | null, b: Counted): Counted {
  if (a === null) return b;
  const values = new Float64Array(a.values.length + b.values.length);
  const counts = new Float64Array(values.length);
  let i = 0;
  let j = 0;
  let count = 0;
  while (i < a.values.length || j < b.values.length) {
    const x = i < a.values.length ? a.values[i]! : Number.POSITIVE_INFINITY;
    const y = j < b.values.length ? b.values[j]! : Number.POSITIVE_INFINITY;
    values[count] = Math.min(x, y);
    counts[count++] = (x <= y ? a.counts[i++]! : 0) + (y <= x ? b.counts[j++]! : 0);
  }
  return { values: values.slice(0, count), counts: counts.slice(0, count) };
}
