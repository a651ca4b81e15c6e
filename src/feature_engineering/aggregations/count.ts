import type { Aggregation } from "./aggregation.ts";
import type { FlatState } from "./flat-state.ts";

const flat: FlatState = {
  width: 1,
  create(into, at) {
    into[at] = 0;
  },
  add(into, at) {
    into[at]!++;
  },
  encode: (from, at, out) => out.varint(from[at]!),
  decode(input, into, at) {
    into[at] = input.varint();
  },
};

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
  flat,
};
