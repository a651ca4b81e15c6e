import type { Value } from "../../definitions/value.ts";
import { malformedBytes } from "../encoding/encoding-errors.ts";
import type { Aggregation, EventOrder } from "./aggregation.ts";
import {
  compareWithEntry,
  createOrderedValue,
  decodeOrderedValue,
  encodeOrderedValue,
  type OrderedValue,
  setOrderedValue,
} from "./ordered-value.ts";

/** The greatest events so far, at most n, the newest last. */
export type LastNState = OrderedValue[];

/**
 * The values of the n greatest events, nulls included, the oldest first and the newest last; an empty list for none.
 * An event that is added twice counts twice.
 */
export function lastNAggregation(n: number): Aggregation<LastNState> {
  return {
    name: "last_n",
    takesNulls: true,
    state: `last_n_${n}`,
    create: () => [],
    add: (state, value, order) => insert(state, n, value, order),
    merge(into, other) {
      for (const entry of other) insert(into, n, entry.value, entry);
      return into;
    },
    finish: (state) => state.map((entry) => entry.value),
    encode(state, out) {
      out.varint(state.length);
      for (const entry of state) encodeOrderedValue(entry, out);
    },
    decode(input) {
      const length = input.varint();
      if (length > n) throw malformedBytes(`a list of ${length} values where at most ${n} are kept`, input.position);
      const state: LastNState = [];
      for (let index = 0; index < length; index++) state.push(decodeOrderedValue(input));
      return state;
    },
  };
}

/** The event time of the newest value, in epoch milliseconds; null for no events. */
export function lastNEventTime(state: LastNState): number | null {
  return state.length === 0 ? null : state[state.length - 1]!.eventTime;
}

function insert(state: LastNState, n: number, value: Value, order: EventOrder): LastNState {
  let after = state.length;
  while (after > 0 && compareWithEntry(value, order, state[after - 1]!) < 0) after--;
  if (state.length < n) {
    state.splice(after, 0, createOrderedValue(value, order));
  } else if (after > 0) {
    // The oldest entry falls out; its object takes the new value.
    const entry = state[0]!;
    for (let index = 1; index < after; index++) state[index - 1] = state[index]!;
    state[after - 1] = entry;
    setOrderedValue(entry, value, order);
  }
  return state;
}
