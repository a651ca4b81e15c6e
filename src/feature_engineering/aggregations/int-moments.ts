import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { roundQuotient } from "./dyadic.ts";
import type { MomentsState } from "./moments.ts";

/** The exact sum of integers: small + big. Int64 values are mostly small, and numbers add faster than bigints. */
export interface IntegerSum {
  /** A safe integer. */
  small: number;
  big: bigint;
}

/** n, the exact Σx and, in the layout `int_moments2`, the exact Σx² of int64 values. */
export interface IntMoments {
  n: number;
  readonly sum: IntegerSum;
  /** Null in the layout `int_moments1`. */
  readonly squares: IntegerSum | null;
}

/** n and Σx of int64 values. */
export const intMoments1: MomentsState<IntMoments> = {
  state: "int_moments1",
  create: () => ({ n: 0, sum: { small: 0, big: 0n }, squares: null }),
  add(state, value) {
    state.n++;
    addInteger(state.sum, value as bigint);
    return state;
  },
  merge(into, other) {
    into.n += other.n;
    mergeInteger(into.sum, other.sum);
    return into;
  },
  encode(state, out) {
    out.varint(state.n);
    encodeInteger(state.sum, out);
  },
  decode: (input) => ({ n: input.varint(), sum: decodeInteger(input), squares: null }),
  mergeEncoded(into, input) {
    into.n += input.varint();
    mergeEncodedInteger(into.sum, input);
    return into;
  },
};

/** n, Σx and Σx² of int64 values. */
export const intMoments2: MomentsState<IntMoments> = {
  state: "int_moments2",
  create: () => ({ n: 0, sum: { small: 0, big: 0n }, squares: { small: 0, big: 0n } }),
  add(state, value) {
    state.n++;
    addInteger(state.sum, value as bigint);
    addIntegerSquare(state.squares!, value as bigint);
    return state;
  },
  merge(into, other) {
    into.n += other.n;
    mergeInteger(into.sum, other.sum);
    mergeInteger(into.squares!, other.squares!);
    return into;
  },
  encode(state, out) {
    out.varint(state.n);
    encodeInteger(state.sum, out);
    encodeInteger(state.squares!, out);
  },
  decode: (input) => ({ n: input.varint(), sum: decodeInteger(input), squares: decodeInteger(input) }),
  mergeEncoded(into, input) {
    into.n += input.varint();
    mergeEncodedInteger(into.sum, input);
    mergeEncodedInteger(into.squares!, input);
    return into;
  },
};

/** The double nearest to Σx. */
export function sumOfIntMoments(state: IntMoments): number {
  return state.sum.big === 0n ? state.sum.small : Number(total(state.sum));
}

/** The double nearest to the exact quotient Σx / n, in one rounding; null without values. */
export function meanOfIntMoments(state: IntMoments): number | null {
  if (state.n === 0) return null;
  // Both operands are exact doubles here, so the division is the only rounding.
  if (state.sum.big === 0n) return state.sum.small / state.n;
  return roundQuotient(total(state.sum), BigInt(state.n), 0);
}

/** The sample variance: the double nearest to n·Σx² − (Σx)², divided by n·(n − 1); null below two values. */
export function varianceOfIntMoments(state: IntMoments): number | null {
  if (state.n < 2) return null;
  const sum = total(state.sum);
  return Number(BigInt(state.n) * total(state.squares!) - sum * sum) / (state.n * (state.n - 1));
}

function addInteger(sum: IntegerSum, value: bigint): void {
  const x = Number(value);
  // Beyond ±2^53 the conversion may round, but never to a safe integer.
  if (Number.isSafeInteger(x)) addSmall(sum, x);
  else sum.big += value;
}

/** Up to this magnitude a square is a safe integer. */
const rootOfSafe = 94_906_265;

function addIntegerSquare(sum: IntegerSum, value: bigint): void {
  const x = Number(value);
  if (x <= rootOfSafe && x >= -rootOfSafe) addSmall(sum, x * x);
  else sum.big += value * value;
}

function addSmall(sum: IntegerSum, x: number): void {
  const small = sum.small + x;
  if (Number.isSafeInteger(small)) {
    sum.small = small;
  } else {
    sum.big += BigInt(sum.small);
    sum.small = x;
  }
}

function mergeInteger(into: IntegerSum, other: IntegerSum): void {
  addSmall(into, other.small);
  if (other.big !== 0n) into.big += other.big;
}

function total(sum: IntegerSum): bigint {
  return sum.big + BigInt(sum.small);
}

/** The bytes are a function of the total: the split into small and big depends on the order of additions. */
function encodeInteger(sum: IntegerSum, out: ByteWriter): void {
  out.bigint(total(sum));
}

function decodeInteger(input: ByteReader): IntegerSum {
  const big = input.bigint();
  const small = Number(big);
  return Number.isSafeInteger(small) ? { small, big: 0n } : { small: 0, big };
}

function mergeEncodedInteger(into: IntegerSum, input: ByteReader): void {
  const value = input.bigint();
  const small = Number(value);
  if (Number.isSafeInteger(small)) addSmall(into, small);
  else into.big += value;
}
