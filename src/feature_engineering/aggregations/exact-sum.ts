import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { malformedBytes } from "../encoding/encoding-errors.ts";
import { dyadicScale, roundDyadic, toScaledInteger } from "./dyadic.ts";
import { growExpansion, roundExpansion } from "./expansion.ts";

/**
 * The exact sum of doubles: hi + mid + lo + Σ rest + big, with no rounding whatever the order of the additions. The
 * first three may overlap; most sums never need `rest`, which is an expansion in Shewchuk's sense.
 *
 * Source: J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates" (1997);
 * Python's `math.fsum`.
 */
export interface ExactSum {
  hi: number;
  mid: number;
  lo: number;
  rest: number[] | null;
  /** The exact sum of the terms from 2^960 on, which are integers: so nothing above can overflow. */
  big: bigint;
}

const bigFrom = 2 ** 960;
const squareBigFrom = 2 ** 480;
/** Below this the error of a square would fall under the smallest subnormal, so it is left out. */
const squareErrorFrom = 2 ** -480;
/** Splits a double into two of 26 bits (Veltkamp). */
const splitter = 2 ** 27 + 1;

export function createExactSum(): ExactSum {
  return { hi: 0, mid: 0, lo: 0, rest: null, big: 0n };
}

/** Adds a finite double exactly. */
export function addExact(sum: ExactSum, x: number): void {
  if (x < bigFrom && x > -bigFrom) addAtHi(sum, x);
  else sum.big += BigInt(x);
}

/**
 * Adds x² exactly. The one exception: for |x| < 2^−480 it adds the double nearest to x², which is still a function of
 * x alone.
 */
export function addExactSquare(sum: ExactSum, x: number): void {
  const magnitude = Math.abs(x);
  if (magnitude < squareBigFrom && magnitude >= squareErrorFrom) {
    // Dekker's product of x with itself: x² = square + error.
    const square = x * x;
    const c = splitter * x;
    const high = c - (c - x);
    const low = x - high;
    const error = low * low - (square - high * high - 2 * high * low);
    addAtHi(sum, square);
    if (error !== 0) addAtMid(sum, error);
  } else if (magnitude < 1) {
    addAtHi(sum, x * x);
  } else {
    sum.big += BigInt(x) ** 2n;
  }
}

// Each level is Knuth's two-sum: t is the rounded sum, and the error is what it lost, exactly.
function addAtHi(sum: ExactSum, x: number): void {
  const a = sum.hi;
  const t = a + x;
  const b = t - a;
  const error = a - (t - b) + (x - b);
  sum.hi = t;
  if (error !== 0) addAtMid(sum, error);
}

function addAtMid(sum: ExactSum, x: number): void {
  const a = sum.mid;
  const t = a + x;
  const b = t - a;
  const error = a - (t - b) + (x - b);
  sum.mid = t;
  if (error !== 0) addAtLo(sum, error);
}

function addAtLo(sum: ExactSum, x: number): void {
  const a = sum.lo;
  const t = a + x;
  const b = t - a;
  const error = a - (t - b) + (x - b);
  sum.lo = t;
  if (error !== 0) {
    sum.rest ??= [];
    growExpansion(sum.rest, error);
  }
}

/** Adds another sum exactly; `other` stays as it is. */
export function mergeExact(into: ExactSum, other: ExactSum): void {
  addAtHi(into, other.hi);
  if (other.mid !== 0) addAtMid(into, other.mid);
  if (other.lo !== 0) addAtLo(into, other.lo);
  if (other.rest !== null) for (const x of other.rest) addAtLo(into, x);
  if (other.big !== 0n) into.big += other.big;
}

/** The double nearest to the exact sum, ties to even; ±Infinity if it overflows. */
export function roundExact(sum: ExactSum): number {
  if (sum.big !== 0n) return roundDyadic(exactScaledInteger(sum), dyadicScale);
  if (sum.lo === 0 && sum.rest === null) return sum.hi + sum.mid;
  return roundExpansion(exactPartials(sum));
}

/** The sum without `big` as a nonoverlapping expansion of increasing magnitude, without zeros. */
export function exactPartials(sum: ExactSum): number[] {
  const partials = sum.rest === null ? [] : sum.rest.slice();
  growExpansion(partials, sum.lo);
  growExpansion(partials, sum.mid);
  growExpansion(partials, sum.hi);
  return partials;
}

/** The exact sum times 2^1074. */
export function exactScaledInteger(sum: ExactSum): bigint {
  let total = sum.big << BigInt(dyadicScale);
  for (const x of exactPartials(sum)) total += toScaledInteger(x);
  return total;
}

/**
 * The bytes are a function of the exact sums of the terms below and from 2^960 on, so equal sets of terms have equal
 * bytes. Form: a varint of (number of doubles · 4 + integer · 2 + big); with `integer` one zigzag varint; the doubles,
 * each the nearest to what remains of the sum after those before it; with `big` a bigint.
 */
export function encodeExact(sum: ExactSum, out: ByteWriter): void {
  const big = sum.big === 0n ? 0 : 1;
  let first = sum.hi;
  let second = sum.mid;
  let more: number[] | null = null;
  if (sum.lo === 0 && sum.rest === null) {
    first = sum.hi + sum.mid;
    const b = first - sum.hi;
    second = sum.hi - (first - b) + (sum.mid - b);
  } else {
    const partials = exactPartials(sum);
    first = takeNearest(partials);
    second = takeNearest(partials);
    if (partials.length > 0) more = [];
    while (partials.length > 0) more!.push(takeNearest(partials));
  }
  if (second === 0 && Number.isSafeInteger(first)) {
    out.u8(2 + big);
    out.zigzag(first);
  } else {
    const count = (second === 0 ? 1 : 2) + (more === null ? 0 : more.length);
    out.varint(count * 4 + big);
    out.f64(first);
    if (second !== 0) out.f64(second);
    if (more !== null) for (const x of more) out.f64(x);
  }
  if (big === 1) out.bigint(sum.big);
}

/** The double nearest to an expansion, which keeps the exact remainder. */
function takeNearest(partials: number[]): number {
  const nearest = roundExpansion(partials);
  if (nearest === partials[partials.length - 1]) partials.pop();
  else growExpansion(partials, -nearest);
  return nearest;
}

/** Adds an encoded sum exactly. */
export function mergeEncodedExact(into: ExactSum, input: ByteReader): void {
  const header = input.varint();
  if ((header & 2) !== 0) addAtHi(into, input.zigzag());
  const count = Math.floor(header / 4);
  for (let index = 0; index < count; index++) {
    const x = input.f64();
    if (!Number.isFinite(x)) throw malformedBytes(`a sum of ${x}`, input.position - 8);
    if (index === 0) addAtHi(into, x);
    else if (index === 1) addAtMid(into, x);
    else addAtLo(into, x);
  }
  if ((header & 1) !== 0) into.big += input.bigint();
}

export function skipExact(input: ByteReader): void {
  const header = input.varint();
  if ((header & 2) !== 0) input.zigzag();
  input.skip(8 * Math.floor(header / 4));
  if ((header & 1) !== 0) input.bigint();
}
