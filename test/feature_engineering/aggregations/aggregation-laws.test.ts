import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AggregationName, AggregationSpec } from "../../../src/definitions/aggregation-spec.ts";
import type { Value } from "../../../src/definitions/value.ts";
import type { Aggregation, EventOrder } from "../../../src/feature_engineering/aggregations/aggregation.ts";
import { aggregationOf } from "../../../src/feature_engineering/aggregations/aggregation-of.ts";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { naiveAggregate } from "../../../src/feature_engineering/windows/naive-aggregate.ts";
import { columns, orderArbitrary } from "./arbitraries.ts";

interface Event {
  readonly value: Value;
  readonly order: EventOrder;
}

const all: AggregationName[] = ["count", "latest", "first", "last_n", "count_distinct"];
const ordered: AggregationName[] = [...all, "top_k", "min", "max"];
const numeric: AggregationName[] = [
  ...ordered,
  ...(["sum", "mean", "variance", "stddev", "quantile", "quantiles", "histogram"] as const),
];
const parameters: Partial<Record<AggregationName, Omit<AggregationSpec, "name" | "input">>> = {
  last_n: { n: 3 },
  // Lists of the values below have more distinct values than this, about as often as not.
  top_k: { n: 3, limit: 8 },
  quantile: { probabilities: [0.9] },
  quantiles: { probabilities: [0.5, 0, 1, 0.25] },
  histogram: { boundaries: [-1e300, -2, 0, 0.5, 7, 2 ** 53] },
};

function namesFor(kind: string): AggregationName[] {
  if (kind === "list") return all;
  if (kind === "bool") return [...all, "top_k"];
  return kind === "string" || kind === "timestamp" ? ordered : numeric;
}

const cases = columns.flatMap(({ type, values }) =>
  namesFor(type.kind).flatMap((name) =>
    [false, true]
      .filter((squares) => !squares || ((name === "sum" || name === "mean") && type.kind !== "int32"))
      .map((squares) => {
        const spec: AggregationSpec = { name, input: type, ...parameters[name] };
        return { title: `${name} of ${type.kind}${squares ? " with squares" : ""}`, spec, squares, values };
      }),
  ),
);

/** Events of the values and some nulls, each with the part it falls into and its place in another order. */
function eventsOf(values: fc.Arbitrary<Value[]>): fc.Arbitrary<(Event & { part: number; place: number })[]> {
  return values.chain((list) =>
    fc.tuple(
      ...list.map((value, index) =>
        fc.record({
          value: fc.oneof({ weight: 9, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: fc.constant(null) }),
          order: orderArbitrary(index),
          part: fc.nat(4),
          place: fc.nat(),
        }),
      ),
    ),
  );
}

function fold(aggregation: Aggregation, events: readonly Event[]): unknown {
  let state = aggregation.create();
  for (const { value, order } of events) {
    if (value !== null || aggregation.takesNulls) state = aggregation.add(state, value, order);
  }
  return state;
}

function encode(aggregation: Aggregation, state: unknown): Uint8Array {
  const out = createByteWriter(16);
  aggregation.encode(state, out);
  return out.finish();
}

function decode(aggregation: Aggregation, bytes: Uint8Array): unknown {
  const input = createByteReader(bytes);
  const state = aggregation.decode(input);
  expect(input.remaining).toBe(0);
  return state;
}

describe.each(cases)("$title", ({ spec, squares, values }) => {
  const aggregation = aggregationOf(spec, { squares });
  const check = (property: (events: (Event & { part: number; place: number })[]) => void): void => {
    fc.assert(fc.property(eventsOf(values), property), { numRuns: 150 });
  };

  test("gives what the definition gives, whatever the order and the split, and the same bytes", () => {
    check((events) => {
      const expected = naiveAggregate(spec, events);
      const whole = fold(aggregation, events);
      expect(aggregation.finish(whole)).toStrictEqual(expected);
      const bytes = encode(aggregation, whole);

      const shuffled = [...events].sort((a, b) => a.place - b.place);
      expect(encode(aggregation, fold(aggregation, shuffled))).toStrictEqual(bytes);

      let merged = aggregation.create();
      for (const part of [0, 1, 2, 3, 4]) {
        const state = fold(
          aggregation,
          shuffled.filter((event) => event.part === part),
        );
        // Some parts arrive through their encoding, as from a store or another worker.
        const arrived = part % 2 === 0 ? decode(aggregation, encode(aggregation, state)) : state;
        merged = aggregation.merge(merged, arrived);
      }
      expect(aggregation.finish(merged)).toStrictEqual(expected);
      expect(encode(aggregation, merged)).toStrictEqual(bytes);
    });
  });

  test("merges associatively and commutatively, to the last byte", () => {
    check((events) => {
      const part = (index: number): unknown =>
        fold(
          aggregation,
          events.filter((event) => event.part % 3 === index),
        );
      const left = aggregation.merge(aggregation.merge(part(0), part(1)), part(2));
      const right = aggregation.merge(part(0), aggregation.merge(part(1), part(2)));
      const reversed = aggregation.merge(aggregation.merge(part(2), part(1)), part(0));
      expect(encode(aggregation, right)).toStrictEqual(encode(aggregation, left));
      expect(encode(aggregation, reversed)).toStrictEqual(encode(aggregation, left));
      expect(aggregation.finish(right)).toStrictEqual(aggregation.finish(left));
      expect(aggregation.finish(reversed)).toStrictEqual(aggregation.finish(left));
    });
  });

  test("survives a round trip through its bytes", () => {
    check((events) => {
      const state = fold(aggregation, events);
      const bytes = encode(aggregation, state);
      const again = decode(aggregation, bytes);
      expect(encode(aggregation, again)).toStrictEqual(bytes);
      expect(aggregation.finish(again)).toStrictEqual(aggregation.finish(state));
    });
  });

  test("merges and skips encoded states as it merges and decodes them", () => {
    check((events) => {
      const half = (part: number): unknown =>
        fold(
          aggregation,
          events.filter((event) => event.part % 2 === part),
        );
      const out = createByteWriter(16);
      aggregation.encode(half(1), out);
      out.u8(77);
      const input = createByteReader(out.finish());
      if (aggregation.skip !== undefined) {
        aggregation.skip(input);
        expect(input.u8()).toBe(77);
      }
      if (aggregation.mergeEncoded === undefined) return;
      const again = createByteReader(out.finish());
      const merged = aggregation.mergeEncoded(half(0), again);
      expect(again.u8()).toBe(77);
      expect(encode(aggregation, merged)).toStrictEqual(encode(aggregation, aggregation.merge(half(0), half(1))));
    });
  });

  test("finishes and encodes without changing the state", () => {
    check((events) => {
      const state = fold(aggregation, events);
      const before = structuredClone(state);
      aggregation.finish(state);
      encode(aggregation, state);
      expect(state).toStrictEqual(before);
    });
  });

  test("merges without changing or keeping parts of the second state", () => {
    check((events) => {
      const into = fold(
        aggregation,
        events.filter((event) => event.part < 2),
      );
      const other = fold(
        aggregation,
        events.filter((event) => event.part >= 2),
      );
      const before = structuredClone(other);
      let merged = aggregation.merge(into, other);
      expect(other).toStrictEqual(before);
      for (const { value, order } of events) {
        if (value !== null) merged = aggregation.add(merged, value, { ...order, eventTime: order.eventTime + 1 });
      }
      merged = aggregation.merge(merged, fold(aggregation, events));
      expect(other).toStrictEqual(before);
      let empty = aggregation.merge(aggregation.create(), other);
      for (const { value, order } of events) if (value !== null) empty = aggregation.add(empty, value, order);
      expect(other).toStrictEqual(before);
    });
  });
});
