import type { Value } from "../../definitions/value.ts";
import type { Aggregation } from "./aggregation.ts";
import {
  addToSketch,
  createSketch,
  decodeSketch,
  encodeSketch,
  mergeSketch,
  type QuantileSketch,
  quantileOfSketch,
} from "./quantile-sketch.ts";

/**
 * An estimate of the value at the place ⌊q · (n − 1)⌋, from 0, of the n sorted values, off by at most 1/128 of it;
 * magnitudes below 2^−1022 count as 0. A double, also of int64 values, which are rounded to doubles. Null for no values.
 */
export function quantileAggregation(q: number): Aggregation<QuantileSketch> {
  return { name: "quantile", ...sketch, finish: (state) => (state.n === 0 ? null : quantileOfSketch(state, q)) };
}

/** Several quantiles in one list, in the order given; null for no values. */
export function quantilesAggregation(qs: readonly number[]): Aggregation<QuantileSketch> {
  return {
    name: "quantiles",
    ...sketch,
    finish: (state): Value => (state.n === 0 ? null : qs.map((q) => quantileOfSketch(state, q))),
  };
}

/** One state serves every quantile of a column. */
const sketch: Omit<Aggregation<QuantileSketch>, "name" | "finish"> = {
  takesNulls: false,
  state: "quantile_sketch",
  create: createSketch,
  add(state, value) {
    addToSketch(state, typeof value === "bigint" ? Number(value) : (value as number));
    return state;
  },
  merge: mergeSketch,
  encode: encodeSketch,
  decode: decodeSketch,
};
