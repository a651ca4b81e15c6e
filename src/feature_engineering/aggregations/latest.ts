import type { Aggregation } from "./aggregation.ts";
import {
  compareWithEntry,
  createOrderedValue,
  decodeOrderedValue,
  encodeOrderedValue,
  type OrderedValue,
  setOrderedValue,
} from "./ordered-value.ts";

/** The greatest event so far; null before the first. */
export type LatestState = OrderedValue | null;

/** The value of the greatest event in the order of events, also if it is null; null for no events. */
export const latestAggregation: Aggregation<LatestState> = {
  name: "latest",
  takesNulls: true,
  state: "latest",
  create: () => null,
  add(state, value, order) {
    if (state === null) return createOrderedValue(value, order);
    if (compareWithEntry(value, order, state) > 0) setOrderedValue(state, value, order);
    return state;
  },
  merge(into, other) {
    if (other === null) return into;
    if (into === null) return createOrderedValue(other.value, other);
    if (compareWithEntry(other.value, other, into) > 0) setOrderedValue(into, other.value, other);
    return into;
  },
  finish: (state) => (state === null ? null : state.value),
  encode(state, out) {
    out.u8(state === null ? 0 : 1);
    if (state !== null) encodeOrderedValue(state, out);
  },
  decode: (input) => (input.u8() === 0 ? null : decodeOrderedValue(input)),
};

/** The event time of the value, in epoch milliseconds; null for no events. */
export function latestEventTime(state: LatestState): number | null {
  return state === null ? null : state.eventTime;
}
