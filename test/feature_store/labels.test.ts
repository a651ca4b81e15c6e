import { describe, expect, test } from "vitest";
import { label, t } from "../../src/definitions/index.ts";
import { checkLabels, readLabels } from "../../src/feature_store/labels.ts";

const kinds = {
  bool: label("y", t.bool()).label,
  float64: label("y", t.float64()).label,
  int32: label("y", t.int32()).label,
  int64: label("y", t.int64()).label,
  oneOf: label("y", t.oneOf("a", "1")).label,
};
const read = (kind: keyof typeof kinds, y: unknown): unknown => readLabels([kinds[kind]], { y }, 3)[0];

describe("a label of a training frame", () => {
  test.each<[keyof typeof kinds, unknown, unknown]>([
    ["bool", true, true],
    ["bool", 0, false],
    ["bool", 1n, true],
    ["bool", "1", true],
    ["float64", -0.5, -0.5],
    ["float64", "12", 12],
    ["float64", 3n, 3],
    ["float64", Number.NaN, null],
    ["float64", Number.POSITIVE_INFINITY, null],
    ["int32", 7, 7],
    ["int64", "9007199254740993", 9_007_199_254_740_993n],
    ["int64", 5, 5n],
    ["oneOf", "1", "1"],
    ["oneOf", null, null],
    ["bool", undefined, null],
  ])("of type %s may be %s", (kind, given, expected) => {
    expect(read(kind, given)).toBe(expected);
  });

  test.each<[keyof typeof kinds, unknown]>([
    ["bool", 2],
    ["bool", "yes"],
    ["float64", "1.5"],
    ["float64", true],
    ["int32", 1.5],
    ["int64", 0.5],
    ["oneOf", "b"],
    ["oneOf", 1],
    ["float64", [1]],
  ])("of type %s may not be %s, and the error names the row", (kind, given) => {
    expect(() => read(kind, given)).toThrow(
      expect.objectContaining({ code: "LABEL_INVALID", message: expect.stringContaining("Row 3: the label 'y'") }),
    );
  });

  test("must be known in some row, unless there is none", () => {
    expect(() => checkLabels("s", [kinds.bool], [])).not.toThrow();
    expect(() => checkLabels("s", [kinds.bool], [[null], [false]])).not.toThrow();
    expect(() => checkLabels("s", [kinds.bool], [[null], undefined])).toThrow(
      expect.objectContaining({ code: "LABEL_MISSING" }),
    );
  });
});
