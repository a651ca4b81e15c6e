import type { Aggregation } from "./aggregation.ts";

/** The number of events, nulls included; 0 for none. */
export const countAggregation: Aggregation<number> = {
  name: "count",
  takesNulls: true,
  state: "count",
  create: () => 0,
  add: (state) => state + 1,
  merge: (into, other) => into + other,
  finish: (state) => state,
  encode: (state, out) => out.varint(state),
  decode: (input) => input.varint(),
  mergeEncoded: (into, input) => into + input.varint(),
};
