import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { malformedBytes } from "../encoding/encoding-errors.ts";

/**
 * How many values lie in each bucket. Buckets cut every power of two into 64 parts of equal width, so that the middle of
 * a bucket is off by at most 1/128 of any value in it; a value's bucket is its sign, exponent and first six bits, and
 * nothing is rounded or depends on the order of values.
 *
 * Source: C. Masson, J. E. Rim, H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
 * guarantees" (2019), with the linearly interpolated mapping of its reference implementations.
 */
export interface QuantileSketch {
  /** How many values there are. */
  n: number;
  /** The smallest and the largest value; 0 while there is none. */
  min: number;
  max: number;
  /** How many buckets are in use. */
  size: number;
  /** The numbers of the buckets in use, ascending, as are the values in them; then unused room. */
  buckets: Int32Array;
  counts: Float64Array;
}

const fractionBits = 6;
const bucketShift = 20 - fractionBits;
/** Magnitudes below 2^−1022 have fewer bits than others and share the bucket of 0. */
const firstBucket = 2 ** fractionBits;

const bits = new DataView(new ArrayBuffer(8));

/** The bucket of a finite double: negative for negative numbers, 0 for 0. */
export function bucketOf(x: number): number {
  bits.setFloat64(0, x);
  const high = bits.getInt32(0);
  const bucket = (high & 0x7fffffff) >>> bucketShift;
  if (bucket < firstBucket) return 0;
  return high < 0 ? -bucket : bucket;
}

/** The middle of a bucket. */
export function middleOf(bucket: number): number {
  if (bucket === 0) return 0;
  const magnitude = bucket < 0 ? -bucket : bucket;
  bits.setInt32(0, (magnitude << bucketShift) | (1 << (bucketShift - 1)));
  bits.setInt32(4, 0);
  const middle = bits.getFloat64(0);
  return bucket < 0 ? -middle : middle;
}

// All empty sketches share these; they have no room, so nothing is ever written into them.
const noBuckets = new Int32Array(0);
const noCounts = new Float64Array(0);

export function createSketch(): QuantileSketch {
  return { n: 0, min: 0, max: 0, size: 0, buckets: noBuckets, counts: noCounts };
}

/** Adds a finite double. */
export function addToSketch(sketch: QuantileSketch, x: number): void {
  widen(sketch, x, x);
  sketch.n++;
  const bucket = bucketOf(x);
  const { buckets, counts } = sketch;
  let from = 0;
  let to = sketch.size;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const there = buckets[middle]!;
    if (there === bucket) {
      counts[middle]!++;
      return;
    }
    if (there < bucket) from = middle + 1;
    else to = middle;
  }
  if (sketch.size === buckets.length) grow(sketch, sketch.size + 1);
  for (let index = sketch.size; index > from; index--) {
    sketch.buckets[index] = sketch.buckets[index - 1]!;
    sketch.counts[index] = sketch.counts[index - 1]!;
  }
  sketch.buckets[from] = bucket;
  sketch.counts[from] = 1;
  sketch.size++;
}

/** Adds the values of another sketch, which stays as it is. */
export function mergeSketch(into: QuantileSketch, other: QuantileSketch): QuantileSketch {
  if (other.n === 0) return into;
  widen(into, other.min, other.max);
  into.n += other.n;
  const size = unionSize(into, other);
  if (size > into.buckets.length) grow(into, size);
  // From the largest bucket down, so that nothing is overwritten before it was moved.
  const { buckets, counts } = into;
  let left = into.size - 1;
  let right = other.size - 1;
  for (let index = size - 1; right >= 0; index--) {
    const bucket = other.buckets[right]!;
    const own = left < 0 ? Number.NEGATIVE_INFINITY : buckets[left]!;
    if (own > bucket) {
      buckets[index] = own;
      counts[index] = counts[left--]!;
    } else {
      counts[index] = other.counts[right--]! + (own === bucket ? counts[left--]! : 0);
      buckets[index] = bucket;
    }
  }
  into.size = size;
  return into;
}

/**
 * The value at the place ⌊q · (n − 1)⌋ of the sorted values, from 0, off by at most 1/128 of it; the smallest and the
 * largest value exactly. n is above 0.
 */
export function quantileOfSketch(sketch: QuantileSketch, q: number): number {
  const place = Math.floor(q * (sketch.n - 1));
  if (place === 0) return sketch.min;
  if (place === sketch.n - 1) return sketch.max;
  let index = 0;
  for (let below = sketch.counts[0]!; below <= place; below += sketch.counts[++index]!);
  // No value lies beyond the smallest and the largest, so that quantiles rise with q.
  return Math.min(sketch.max, Math.max(sketch.min, middleOf(sketch.buckets[index]!)));
}

function widen(sketch: QuantileSketch, min: number, max: number): void {
  if (sketch.n === 0 || min < sketch.min) sketch.min = min;
  if (sketch.n === 0 || max > sketch.max) sketch.max = max;
}

function unionSize(a: QuantileSketch, b: QuantileSketch): number {
  let size = a.size + b.size;
  let left = 0;
  for (let right = 0; right < b.size; right++) {
    const bucket = b.buckets[right]!;
    while (left < a.size && a.buckets[left]! < bucket) left++;
    if (left < a.size && a.buckets[left] === bucket) size--;
  }
  return size;
}

function grow(sketch: QuantileSketch, needed: number): void {
  const room = Math.max(4, needed, 2 * sketch.buckets.length);
  const buckets = new Int32Array(room);
  const counts = new Float64Array(room);
  buckets.set(sketch.buckets);
  counts.set(sketch.counts);
  sketch.buckets = buckets;
  sketch.counts = counts;
}

/**
 * A varint of (number of buckets · 2 + 1 if the largest value is not the smallest), the smallest and the largest value,
 * the count in the first bucket less 1; then per further bucket a varint of (its distance from the one before, less 1,
 * · 2 + 1 if more than one value lies in it), and then that count less 2.
 */
export function encodeSketch(sketch: QuantileSketch, out: ByteWriter): void {
  const { size, min, max, buckets, counts } = sketch;
  out.varint(2 * size + (min === max ? 0 : 1));
  if (size === 0) return;
  out.value(min);
  if (min !== max) out.value(max);
  out.varint(counts[0]! - 1);
  for (let index = 1; index < size; index++) {
    const count = counts[index]!;
    out.varint(2 * (buckets[index]! - buckets[index - 1]! - 1) + (count > 1 ? 1 : 0));
    if (count > 1) out.varint(count - 2);
  }
}

export function decodeSketch(input: ByteReader): QuantileSketch {
  const header = input.varint();
  const size = Math.floor(header / 2);
  if (size === 0) return createSketch();
  if (size > input.remaining) {
    throw malformedBytes(`${size} buckets are expected, ${input.remaining} bytes left`, input.position);
  }
  const min = readNumber(input);
  const max = header % 2 === 0 ? min : readNumber(input);
  const buckets = new Int32Array(size);
  const counts = new Float64Array(size);
  let bucket = bucketOf(min);
  let count = input.varint() + 1;
  let n = count;
  buckets[0] = bucket;
  counts[0] = count;
  for (let index = 1; index < size; index++) {
    const step = input.varint();
    bucket += Math.floor(step / 2) + 1;
    count = step % 2 === 0 ? 1 : input.varint() + 2;
    buckets[index] = bucket;
    counts[index] = count;
    n += count;
  }
  if (bucket !== bucketOf(max)) throw malformedBytes("buckets that do not end with the largest value", input.position);
  return { n, min, max, size, buckets, counts };
}

function readNumber(input: ByteReader): number {
  const value = input.value();
  if (typeof value !== "number") throw malformedBytes("an end of a sketch that is no number", input.position);
  return value;
}
