import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import {
  addExact,
  addExactSquare,
  createExactSum,
  type ExactSum,
  encodeExact,
  mergeEncodedExact,
} from "./exact-sum.ts";
import type { FlatState, SumOverflows } from "./flat-state.ts";

const scratch: ExactSum = createExactSum();

/** n and Σx of float64 or int32 values, in four doubles: n, then the three of the sum. */
export const flatMoments1: FlatState = {
  width: 4,
  create(into, at, overflows) {
    into[at] = 0;
    clearSum(into, at + 1, overflows);
  },
  add(into, at, value, overflows) {
    into[at]!++;
    addToSum(into, at + 1, value as number, overflows);
  },
  encode(from, at, out, overflows) {
    out.varint(from[at]!);
    encodeSum(from, at + 1, out, overflows);
  },
  decode(input, into, at, overflows) {
    into[at] = input.varint();
    decodeSum(input, into, at + 1, overflows);
  },
};

/** n, Σx and Σx², in seven doubles. */
export const flatMoments2: FlatState = {
  width: 7,
  create(into, at, overflows) {
    into[at] = 0;
    clearSum(into, at + 1, overflows);
    clearSum(into, at + 4, overflows);
  },
  add(into, at, value, overflows) {
    into[at]!++;
    addToSum(into, at + 1, value as number, overflows);
    read(into, at + 4, overflows);
    addExactSquare(scratch, value as number);
    write(into, at + 4, overflows);
  },
  encode(from, at, out, overflows) {
    out.varint(from[at]!);
    encodeSum(from, at + 1, out, overflows);
    encodeSum(from, at + 4, out, overflows);
  },
  decode(input, into, at, overflows) {
    into[at] = input.varint();
    decodeSum(input, into, at + 1, overflows);
    decodeSum(input, into, at + 4, overflows);
  },
};

/** Far below where terms are kept as bigints, and where the sum of two doubles could overflow. */
const bound = 2 ** 900;

function addToSum(into: Float64Array, at: number, x: number, overflows: SumOverflows): void {
  const a = into[at]!;
  if (x < bound && x > -bound) {
    // Knuth's two-sum, as in `addExact`: what the rounded sum lost is exactly `error`.
    const t = a + x;
    const b = t - a;
    const error = a - (t - b) + (x - b);
    if (error === 0) {
      into[at] = t;
      return;
    }
    const m = into[at + 1]!;
    const u = m + error;
    const c = u - m;
    if (m - (u - c) + (error - c) === 0) {
      into[at] = t;
      into[at + 1] = u;
      return;
    }
  }
  read(into, at, overflows);
  addExact(scratch, x);
  write(into, at, overflows);
}

function clearSum(into: Float64Array, at: number, overflows: SumOverflows): void {
  into[at] = 0;
  into[at + 1] = 0;
  into[at + 2] = 0;
  if (overflows.size > 0) overflows.delete(at);
}

function encodeSum(from: Float64Array, at: number, out: ByteWriter, overflows: SumOverflows): void {
  read(from, at, overflows);
  encodeExact(scratch, out);
}

function decodeSum(input: ByteReader, into: Float64Array, at: number, overflows: SumOverflows): void {
  clearSum(into, at, overflows);
  read(into, at, overflows);
  mergeEncodedExact(scratch, input);
  write(into, at, overflows);
}

/** Takes a sum into the scratch. */
function read(from: Float64Array, at: number, overflows: SumOverflows): void {
  scratch.hi = from[at]!;
  scratch.mid = from[at + 1]!;
  scratch.lo = from[at + 2]!;
  const more = overflows.size > 0 ? overflows.get(at) : undefined;
  scratch.rest = more?.rest ?? null;
  scratch.big = more?.big ?? 0n;
}

/** Puts the scratch back. */
function write(into: Float64Array, at: number, overflows: SumOverflows): void {
  const { hi, mid, lo, rest, big } = scratch;
  into[at] = hi;
  into[at + 1] = mid;
  into[at + 2] = lo;
  if (rest !== null || big !== 0n) overflows.set(at, { rest, big });
  else if (overflows.size > 0) overflows.delete(at);
}
