import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { dyadicScale, roundDyadic } from "./dyadic.ts";
import {
  addExact,
  addExactSquare,
  createExactSum,
  type ExactSum,
  encodeExact,
  exactPartials,
  exactScaledInteger,
  mergeEncodedExact,
  mergeExact,
  roundExact,
  skipExact,
} from "./exact-sum.ts";
import { growExpansionByProduct, roundExpansion } from "./expansion.ts";
import type { FlatState } from "./flat-state.ts";
import { flatMoments1, flatMoments2 } from "./flat-sum.ts";

/**
 * n, the exact Σx and, in the layout `moments2`, the exact Σx² of float64 or int32 values. The sum is not an object of its
 * own: folds are bound by the memory that they touch.
 */
export interface Moments extends ExactSum {
  n: number;
  /** Null in the layout `moments1`. */
  readonly squares: ExactSum | null;
}

/** The part of an aggregation that `sum`, `mean`, `variance` and `stddev` have in common. */
export interface MomentsState<State> {
  readonly state: string;
  create(): State;
  add(state: State, value: unknown): State;
  merge(into: State, other: State): State;
  encode(state: State, out: ByteWriter): void;
  decode(input: ByteReader): State;
  readonly mergeEncoded?: (into: State, input: ByteReader) => State;
  readonly skip?: (input: ByteReader) => void;
  readonly flat?: FlatState;
}

/** n and Σx: what `sum` and `mean` need. */
export const moments1: MomentsState<Moments> = {
  state: "moments1",
  create: () => createMoments(null),
  add(state, value) {
    state.n++;
    addExact(state, value as number);
    return state;
  },
  merge(into, other) {
    into.n += other.n;
    mergeExact(into, other);
    return into;
  },
  encode(state, out) {
    out.varint(state.n);
    encodeExact(state, out);
  },
  decode(input) {
    const state = createMoments(null);
    state.n = input.varint();
    mergeEncodedExact(state, input);
    return state;
  },
  mergeEncoded(into, input) {
    into.n += input.varint();
    mergeEncodedExact(into, input);
    return into;
  },
  skip(input) {
    input.varint();
    skipExact(input);
  },
  flat: flatMoments1,
};

/** n, Σx and Σx²: what `variance` and `stddev` need, and enough for `sum` and `mean`. */
export const moments2: MomentsState<Moments> = {
  state: "moments2",
  create: () => createMoments(createExactSum()),
  add(state, value) {
    state.n++;
    addExact(state, value as number);
    addExactSquare(state.squares!, value as number);
    return state;
  },
  merge(into, other) {
    into.n += other.n;
    mergeExact(into, other);
    mergeExact(into.squares!, other.squares!);
    return into;
  },
  encode(state, out) {
    out.varint(state.n);
    encodeExact(state, out);
    encodeExact(state.squares!, out);
  },
  decode(input) {
    const state = createMoments(createExactSum());
    state.n = input.varint();
    mergeEncodedExact(state, input);
    mergeEncodedExact(state.squares!, input);
    return state;
  },
  mergeEncoded(into, input) {
    into.n += input.varint();
    mergeEncodedExact(into, input);
    mergeEncodedExact(into.squares!, input);
    return into;
  },
  skip(input) {
    input.varint();
    skipExact(input);
    skipExact(input);
  },
  flat: flatMoments2,
};

function createMoments(squares: ExactSum | null): Moments {
  return { n: 0, hi: 0, mid: 0, lo: 0, rest: null, big: 0n, squares };
}

/** The double nearest to Σx; null if it overflows. */
export function sumOfMoments(state: Moments): number | null {
  return finiteOrNull(roundExact(state));
}

/** The rounded sum divided by n; null without values, or if the sum overflows. */
export function meanOfMoments(state: Moments): number | null {
  return state.n === 0 ? null : finiteOrNull(roundExact(state) / state.n);
}

/** The sample variance: the double nearest to n·Σx² − (Σx)², divided by n·(n − 1); null below two values. */
export function varianceOfMoments(state: Moments): number | null {
  if (state.n < 2) return null;
  // Squares below 2^−960 are rounded ones, with which the difference may fall below 0.
  const numerator = Math.max(0, squaredDeviations(state));
  return finiteOrNull(numerator / (state.n * (state.n - 1)));
}

export function finiteOrNull(x: number): number | null {
  return Number.isFinite(x) ? x : null;
}

/** The double nearest to n·Σx² − (Σx)², exact up to that one rounding. */
function squaredDeviations(state: Moments): number {
  const squares = state.squares!;
  if (state.big === 0n && squares.big === 0n) {
    const s = exactPartials(state);
    const q = exactPartials(squares);
    // Within these bounds no product of two partials overflows or loses bits below the subnormals.
    if (within(s, 2 ** -480, 2 ** 480) && within(q, 2 ** -960, 2 ** 960)) {
      const difference: number[] = [];
      for (const x of q) growExpansionByProduct(difference, x, state.n);
      for (let i = 0; i < s.length; i++) {
        growExpansionByProduct(difference, -s[i]!, s[i]!);
        for (let j = 0; j < i; j++) growExpansionByProduct(difference, -2 * s[i]!, s[j]!);
      }
      return roundExpansion(difference);
    }
  }
  const s = exactScaledInteger(state);
  const q = exactScaledInteger(squares);
  return roundDyadic(((BigInt(state.n) * q) << BigInt(dyadicScale)) - s * s, 2 * dyadicScale);
}

/** An expansion's magnitudes increase, so its ends bound it. */
function within(partials: readonly number[], from: number, below: number): boolean {
  if (partials.length === 0) return true;
  return Math.abs(partials[0]!) >= from && Math.abs(partials[partials.length - 1]!) < below;
}
