import type { Value } from "../../definitions/value.ts";
import type { Aggregation, EventOrder } from "./aggregation.ts";
import {
  compareWithEntry,
  createOrderedValue,
  decodeOrderedValue,
  encodeOrderedValue,
  type OrderedValue,
  setOrderedValue,
} from "./ordered-value.ts";

/** The first event so far, and when the latest one was, which a ttl asks for; null before the first. */
export type FirstState = { readonly entry: OrderedValue; latest: number } | null;

/**
 * The value of the first event, also if it is null: of the smallest event time, and of several at that time the
 * greatest in the order of events, so that a correction wins. Null for no events.
 */
export const firstAggregation: Aggregation<FirstState> = {
  name: "first",
  takesNulls: true,
  state: "first",
  create: () => null,
  add: (state, value, order) => insert(state, value, order, order.eventTime),
  merge: (into, other) => (other === null ? into : insert(into, other.entry.value, other.entry, other.latest)),
  finish: (state) => (state === null ? null : state.entry.value),
  encode(state, out) {
    out.u8(state === null ? 0 : 1);
    if (state === null) return;
    encodeOrderedValue(state.entry, out);
    out.varint(state.latest - state.entry.eventTime);
  },
  decode(input) {
    if (input.u8() === 0) return null;
    const entry = decodeOrderedValue(input);
    return { entry, latest: entry.eventTime + input.varint() };
  },
};

/** The event time of the latest event, in epoch milliseconds; null for no events. */
export function latestOfFirst(state: FirstState): number | null {
  return state === null ? null : state.latest;
}

function insert(state: FirstState, value: Value, order: EventOrder, latest: number): FirstState {
  if (state === null) return { entry: createOrderedValue(value, order), latest };
  const { entry } = state;
  const earlier = entry.eventTime - order.eventTime;
  if (earlier > 0 || (earlier === 0 && compareWithEntry(value, order, entry) > 0)) setOrderedValue(entry, value, order);
  if (latest > state.latest) state.latest = latest;
  return state;
}
