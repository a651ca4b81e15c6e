import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AggregationName, AggregationSpec } from "../../../src/definitions/aggregation-spec.ts";
import type { ColumnKind, Value } from "../../../src/definitions/value.ts";
import type { EventOrder } from "../../../src/feature_engineering/aggregations/aggregation.ts";
import { aggregationOf } from "../../../src/feature_engineering/aggregations/aggregation-of.ts";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { naiveAggregate } from "../../../src/feature_engineering/windows/naive-aggregate.ts";
import { fullDouble } from "./arbitraries.ts";

const order: EventOrder = { eventTime: 0, version: null, ingestedAt: 0, hash0: 0, hash1: 0, hash2: 0, hash3: 0 };

function specOf(name: AggregationName, kind: ColumnKind): AggregationSpec {
  return { name, input: { kind, nullable: false } };
}

function aggregate(name: AggregationName, kind: ColumnKind, values: readonly Value[]): Value {
  const aggregation = aggregationOf(specOf(name, kind));
  return aggregation.finish(
    values.reduce<unknown>((state, value) => aggregation.add(state, value, order), aggregation.create()),
  );
}

describe("moments", () => {
  test("of nothing are 0 for a sum and null for the rest", () => {
    for (const kind of ["float64", "int64"] as const) {
      expect(aggregate("sum", kind, [])).toBe(0);
      expect(aggregate("mean", kind, [])).toBeNull();
      expect(aggregate("variance", kind, [])).toBeNull();
      expect(aggregate("stddev", kind, [])).toBeNull();
    }
    expect(aggregate("variance", "float64", [3])).toBeNull();
    expect(aggregate("variance", "int64", [3n])).toBeNull();
  });

  test("have the variance of the sample", () => {
    expect(aggregate("variance", "float64", [2, 4, 4, 4, 5, 5, 7, 9])).toBe(32 / 7);
    expect(aggregate("variance", "int64", [2n, 4n, 4n, 4n, 5n, 5n, 7n, 9n])).toBe(32 / 7);
    expect(aggregate("stddev", "float64", [1, 3])).toBe(Math.SQRT2);
    expect(aggregate("stddev", "float64", [0.1, 0.1, 0.1])).toBe(0);
  });

  test("keep a small variance beside a large mean", () => {
    expect(aggregate("variance", "float64", [1e15 + 1, 1e15 + 2, 1e15 + 3])).toBe(1);
    expect(aggregate("variance", "int64", [2n ** 62n + 1n, 2n ** 62n + 2n, 2n ** 62n + 3n])).toBe(1);
  });

  test("overflow to null, and only if the result does", () => {
    expect(aggregate("sum", "float64", [1e308, 1e308])).toBeNull();
    expect(aggregate("mean", "float64", [1e308, 1e308])).toBeNull();
    expect(aggregate("sum", "float64", [1e308, 1e308, -1e308])).toBe(1e308);
    expect(aggregate("variance", "float64", [1e200, -1e200])).toBeNull();
    expect(aggregate("variance", "float64", [1e200, 1e200])).toBe(0);
  });

  test("of int64 are exact where doubles are not, and rounded once", () => {
    expect(aggregate("sum", "int64", [2n ** 53n, 1n, 1n])).toBe(2 ** 53 + 2);
    expect(aggregate("sum", "int64", [2n ** 63n - 1n, -(2n ** 63n) + 1n, 5n])).toBe(5);
    // 2^53 + 1 is a multiple of 3; rounding it to 2^53 first would give another mean.
    expect(aggregate("mean", "int64", [2n ** 53n + 1n, 0n, 0n])).toBe(3_002_399_751_580_331);
  });

  test.each([
    ["tiny", -545, -505],
    ["around where squares lose their error", -490, -470],
    ["around where squares become integers", 470, 490],
    ["ordinary", -8, 8],
  ])("have the exact variance of few values, %s ones", (_, min, max) => {
    fc.assert(
      fc.property(fc.array(fullDouble(min, max), { minLength: 2, maxLength: 3 }), (values) => {
        const events = values.map((value) => ({ value, order }));
        expect(aggregate("variance", "float64", values)).toBe(naiveAggregate(specOf("variance", "float64"), events));
      }),
      { numRuns: 500 },
    );
  });

  test("encode equal int64 sets equally, however their sums were carried", () => {
    const aggregation = aggregationOf(specOf("variance", "int64"));
    const bytes = (values: readonly bigint[]): Uint8Array => {
      const out = createByteWriter();
      let state = aggregation.create();
      for (const value of values) state = aggregation.add(state, value, order);
      aggregation.encode(state, out);
      return out.finish();
    };
    const large = 2n ** 53n - 1n;
    expect(bytes([large, 5n, -large, 7n])).toStrictEqual(bytes([5n, 7n, large, -large]));
  });

  test("refuse bytes that hold no finite sum", () => {
    const out = createByteWriter();
    out.varint(1);
    out.varint(4);
    out.f64(Number.NaN);
    const aggregation = aggregationOf(specOf("sum", "float64"));
    expect(() => aggregation.decode(createByteReader(out.finish()))).toThrow(
      expect.objectContaining({ code: "MALFORMED_BYTES" }),
    );
  });
});
