import { describe, expect, test } from "vitest";
import type { AggregationName, AggregationSpec } from "../../../src/definitions/aggregation-spec.ts";
import { aggregationType } from "../../../src/definitions/aggregation-spec.ts";
import type { ColumnTypeSpec } from "../../../src/definitions/value.ts";
import { aggregationOf } from "../../../src/feature_engineering/aggregations/aggregation-of.ts";

const float64: ColumnTypeSpec = { kind: "float64", nullable: false };
const int64: ColumnTypeSpec = { kind: "int64", nullable: true };
const colour: ColumnTypeSpec = { kind: "one_of", nullable: true, values: ["red", "green"] };

function spec(name: AggregationName, input: ColumnTypeSpec | null = float64, n?: number): AggregationSpec {
  return { name, input, ...(n === undefined ? {} : { n }) };
}

const given = { probabilities: [0.5], limit: 9, boundaries: [0, 1] };

describe("aggregationOf", () => {
  test("carries the name of the spec", () => {
    const names: AggregationName[] = [
      "count",
      "sum",
      "mean",
      "variance",
      "stddev",
      "min",
      "max",
      "latest",
      "first",
      "last_n",
      "count_distinct",
      "quantile",
      "quantiles",
      "top_k",
      "histogram",
    ];
    for (const name of names) {
      expect(aggregationOf({ ...spec(name, float64, 2), ...given }).name).toBe(name);
      expect(aggregationOf({ ...spec(name, int64, 2), ...given }).name).toBe(name);
    }
  });

  test("lets aggregations share a state", () => {
    const state = (name: AggregationName, input?: ColumnTypeSpec, squares = false): string =>
      aggregationOf(spec(name, input), { squares }).state;
    expect(state("sum")).toBe(state("mean"));
    expect(state("variance")).toBe(state("stddev"));
    expect(state("sum")).not.toBe(state("variance"));
    expect(state("sum", float64, true)).toBe(state("variance"));
    expect(state("mean", float64, true)).toBe(state("variance"));
    expect(state("sum", int64, true)).toBe(state("variance", int64));
    expect(state("sum", int64)).not.toBe(state("sum"));
    const given = (name: AggregationName, parameters: Partial<AggregationSpec>): string =>
      aggregationOf({ ...spec(name), ...parameters }).state;
    const median = given("quantile", { probabilities: [0.5] });
    expect(given("quantile", { probabilities: [0.95] })).toBe(median);
    expect(given("quantiles", { probabilities: [0.1, 0.9] })).toBe(median);
    expect(given("top_k", { n: 3, limit: 9 })).toBe(given("top_k", { n: 1, limit: 9 }));
    expect(given("top_k", { n: 3, limit: 9 })).not.toBe(given("top_k", { n: 3, limit: 10 }));
    expect(given("histogram", { boundaries: [0, 1] })).not.toBe(given("histogram", { boundaries: [0, 2] }));
    expect(aggregationOf(spec("last_n", float64, 2)).state).not.toBe(aggregationOf(spec("last_n", float64, 3)).state);
  });

  test("takes nulls where they are facts", () => {
    const some = ["count", "sum", "mean", "min", "latest", "first", "last_n", "count_distinct", "top_k"] as const;
    const taking = some.filter((name) => aggregationOf({ ...spec(name, float64, 1), ...given }).takesNulls);
    expect(taking).toStrictEqual(["count", "latest", "first", "last_n"]);
  });

  test.each([
    ["a sum of strings", spec("sum", { kind: "string", nullable: false })],
    ["a mean of bools", spec("mean", { kind: "bool", nullable: false })],
    ["a minimum of bools", spec("min", { kind: "bool", nullable: false })],
    ["a maximum of lists", spec("max", { kind: "list", nullable: false, item: float64 })],
    ["a sum of nothing", spec("sum", null)],
    ["the last 0", spec("last_n", float64, 0)],
    ["the last 1.5", spec("last_n", float64, 1.5)],
    ["the last without n", spec("last_n")],
    ["a quantile of timestamps", { ...spec("quantile", { kind: "timestamp", nullable: false }), ...given }],
    ["a quantile without its place", spec("quantile")],
    ["a quantile above 1", { ...spec("quantile"), probabilities: [95] }],
    ["the most frequent lists", { ...spec("top_k", { kind: "list", nullable: false, item: float64 }, 1), ...given }],
    ["the most frequent 0", { ...spec("top_k", float64, 0), ...given }],
    ["the most frequent without a limit", spec("top_k", float64, 2)],
    ["a histogram without boundaries", { ...spec("histogram"), boundaries: [] }],
    ["a histogram whose boundaries do not ascend", { ...spec("histogram"), boundaries: [1, 1] }],
  ])("refuses %s", (_, wrong) => {
    expect(() => aggregationOf(wrong)).toThrow(expect.objectContaining({ code: "INVALID_AGGREGATION" }));
  });
});

describe("aggregationType", () => {
  test("is a float64 that may be null only where it may lack a value", () => {
    for (const name of ["count", "sum", "count_distinct"] as const) {
      expect(aggregationType(spec(name, int64))).toStrictEqual({ kind: "float64", nullable: false });
    }
    for (const name of ["mean", "variance", "stddev", "quantile"] as const) {
      expect(aggregationType(spec(name, int64))).toStrictEqual({ kind: "float64", nullable: true });
    }
  });

  test("keeps the input's type, or lists it", () => {
    expect(aggregationType(spec("min", int64))).toStrictEqual(int64);
    expect(aggregationType(spec("max", float64))).toStrictEqual({ kind: "float64", nullable: true });
    expect(aggregationType(spec("latest", colour))).toStrictEqual(colour);
    expect(aggregationType(spec("last_n", colour, 3))).toStrictEqual({
      kind: "list",
      nullable: false,
      item: colour,
    });
    expect(aggregationType(spec("last_n", float64, 3)).item).toStrictEqual(float64);
    expect(aggregationType(spec("first", colour))).toStrictEqual(colour);
    expect(aggregationType(spec("top_k", colour, 3))).toStrictEqual({
      kind: "list",
      nullable: true,
      item: { ...colour, nullable: false },
    });
  });

  test("lists numbers, null only where there may be none", () => {
    expect(aggregationType(spec("quantiles", int64))).toStrictEqual({ kind: "list", nullable: true, item: float64 });
    expect(aggregationType(spec("histogram", int64))).toStrictEqual({ kind: "list", nullable: false, item: float64 });
  });
});
