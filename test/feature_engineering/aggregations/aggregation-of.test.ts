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
      "last_n",
      "count_distinct",
    ];
    for (const name of names) {
      expect(aggregationOf(spec(name, float64, 2)).name).toBe(name);
      expect(aggregationOf(spec(name, int64, 2)).name).toBe(name);
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
    expect(aggregationOf(spec("last_n", float64, 2)).state).not.toBe(aggregationOf(spec("last_n", float64, 3)).state);
  });

  test("takes nulls where they are facts", () => {
    const taking = (["count", "sum", "mean", "min", "max", "latest", "last_n", "count_distinct"] as const).filter(
      (name) => aggregationOf(spec(name, float64, 1)).takesNulls,
    );
    expect(taking).toStrictEqual(["count", "latest", "last_n"]);
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
  ])("refuses %s", (_, wrong) => {
    expect(() => aggregationOf(wrong)).toThrow(expect.objectContaining({ code: "INVALID_AGGREGATION" }));
  });
});

describe("aggregationType", () => {
  test("is a float64 that may be null only where it may lack a value", () => {
    for (const name of ["count", "sum", "count_distinct"] as const) {
      expect(aggregationType(spec(name, int64))).toStrictEqual({ kind: "float64", nullable: false });
    }
    for (const name of ["mean", "variance", "stddev"] as const) {
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
  });
});
