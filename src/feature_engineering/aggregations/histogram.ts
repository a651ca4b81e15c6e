import type { Aggregation } from "./aggregation.ts";

/**
 * How many values lie below the first boundary, from each boundary (included) to the next (excluded), and from the last
 * on. int64 values are compared exactly.
 */
export function histogramAggregation(boundaries: readonly number[]): Aggregation<number[]> {
  const size = boundaries.length + 1;
  return {
    name: "histogram",
    takesNulls: false,
    state: `histogram_${boundaries.join(",")}`,
    create: () => new Array<number>(size).fill(0),
    add(state, value) {
      let from = 0;
      let to = boundaries.length;
      while (from < to) {
        const middle = (from + to) >>> 1;
        if (boundaries[middle]! <= (value as number | bigint)) from = middle + 1;
        else to = middle;
      }
      state[from]!++;
      return state;
    },
    merge(into, other) {
      for (let bucket = 0; bucket < size; bucket++) into[bucket]! += other[bucket]!;
      return into;
    },
    finish: (state) => state.slice(),
    encode(state, out) {
      for (const count of state) out.varint(count);
    },
    decode(input) {
      const state = new Array<number>(size);
      for (let bucket = 0; bucket < size; bucket++) state[bucket] = input.varint();
      return state;
    },
  };
}
