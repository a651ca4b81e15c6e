import type { Value } from "../../definitions/value.ts";
import { malformedBytes } from "../encoding/encoding-errors.ts";
import type { Aggregation } from "./aggregation.ts";
import { compareValues } from "./ordered-value.ts";

/** How often each value occurred; null once there are more distinct values than the limit. */
export type TopKState = Map<Value, number> | null;

/**
 * The k most frequent values, by count descending and then by value ascending. Counts are exact: above `limit` distinct
 * values there is no answer, null. An empty list for no values.
 */
export function topKAggregation(k: number, limit: number): Aggregation<TopKState> {
  return {
    name: "top_k",
    takesNulls: false,
    // Those that differ in k alone share their counts.
    state: `top_k_${limit}`,
    create: () => new Map(),
    add: (state, value) => insert(state, limit, value, 1),
    merge(into, other) {
      if (other === null) return null;
      let state = into;
      for (const [value, count] of other) state = insert(state, limit, value, count);
      return state;
    },
    finish(state) {
      if (state === null) return null;
      const entries = [...state].sort(([a, ofA], [b, ofB]) => ofB - ofA || compareValues(a, b));
      return entries.slice(0, k).map(([value]) => value);
    },
    encode(state, out) {
      out.varint(state === null ? 0 : state.size + 1);
      if (state === null) return;
      for (const [value, count] of [...state].sort(([a], [b]) => compareValues(a, b))) {
        out.value(value);
        out.varint(count);
      }
    },
    decode(input) {
      const header = input.varint();
      if (header === 0) return null;
      if (header - 1 > limit)
        throw malformedBytes(`${header - 1} values where at most ${limit} are counted`, input.position);
      const state = new Map<Value, number>();
      for (let left = header - 1; left > 0; left--) state.set(input.value(), input.varint());
      return state;
    },
  };
}

function insert(state: TopKState, limit: number, value: Value, count: number): TopKState {
  if (state === null) return null;
  const known = state.get(value);
  if (known === undefined && state.size === limit) return null;
  state.set(value, (known ?? 0) + count);
  return state;
}
