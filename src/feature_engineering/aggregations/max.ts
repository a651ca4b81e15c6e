import type { Aggregation } from "./aggregation.ts";

/** A value that has a natural order: numbers, timestamps, int64, and strings by their UTF-16 code units. */
type Ordered = number | bigint | string;

/** The largest value, of the input's type; null for none. The state is that value. */
export const maxAggregation: Aggregation<Ordered | null> = {
  name: "max",
  takesNulls: false,
  state: "max",
  create: () => null,
  add: (state, value) => (state === null || (value as Ordered) > state ? (value as Ordered) : state),
  merge: (into, other) => (into === null || (other !== null && other > into) ? other : into),
  finish: (state) => state,
  encode: (state, out) => out.value(state),
  decode: (input) => input.value() as Ordered | null,
  mergeEncoded(into, input) {
    const other = input.value() as Ordered | null;
    return into === null || (other !== null && other > into) ? other : into;
  },
};
