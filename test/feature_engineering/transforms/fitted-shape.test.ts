import { describe, expect, test } from "vitest";
import { CategoricalTransform, label, NumericTransform, requestSource, t } from "../../../src/definitions/index.ts";
import type { CompiledRow } from "../../../src/feature_engineering/transforms/compile-row.ts";
import type { FittedState } from "../../../src/feature_engineering/transforms/fitted-state.ts";
import { fitRows } from "../../../src/feature_engineering/transforms/fitter.ts";
import { compile } from "./inputs.ts";

const request = requestSource({
  x: t.float64().nullable(),
  text: t.string().nullable(),
  side: t.oneOf("l", "r").nullable(),
});
const number = NumericTransform.of(request.x);
const text = CategoricalTransform.of(request.text);
const features = {
  impute: number.impute("mean"),
  range: number.minMax(),
  most: number.maxAbs(),
  robust: number.robust(),
  rank: number.quantile({ quantiles: 3 }),
  power: number.power(),
  bin: number.kBins(3),
  code: text.ordinal({ maxCategories: 2, nulls: "category" }),
  plain: text.ordinal(),
  fill: CategoricalTransform.of(request.side).impute("most_frequent"),
  often: text.frequency(),
  target: text.target(label("y", t.oneOf("good", "bad"))),
};
const rows = [
  { inputs: [1, "a", "l"], labels: ["good"] },
  { inputs: [2, "b", null], labels: ["bad"] },
  { inputs: [4, null, "r"], labels: ["bad"] },
  { inputs: [null, "c", "l"], labels: [null] },
];

async function fitted(): Promise<{ readonly compiled: CompiledRow; readonly state: FittedState }> {
  const compiled = compile(features);
  return { compiled, state: (await fitRows(compiled, () => rows)).finish() };
}

// biome-ignore lint/suspicious/noExplicitAny: each makes something that no fit can give
type Damage = (fitted: any) => unknown;
const damages: readonly [string, string, Damage][] = [
  ["a value that is a text", "impute", (f) => ({ ...f, value: "1" })],
  ["a value that overflowed in JSON", "impute", (f) => ({ ...f, value: JSON.parse("1e999") })],
  ["a minimum above the maximum", "range", (f) => ({ ...f, min: 5 })],
  ["a range that overflows", "range", (f) => ({ ...f, min: -1.7e308, max: 1.7e308 })],
  ["a missing maximum", "range", ({ max: _, ...f }) => f],
  ["a negative magnitude", "most", (f) => ({ ...f, max_abs: -1 })],
  ["a scale of 0", "robust", (f) => ({ ...f, scale: 0 })],
  ["a center that is null", "robust", (f) => ({ ...f, center: null })],
  ["quantiles that fall", "rank", (f) => ({ ...f, quantiles: [1, 3, 2] })],
  ["more quantiles than declared", "rank", (f) => ({ ...f, quantiles: [1, 2, 3, 4] })],
  ["quantiles with a hole", "rank", (f) => ({ ...f, quantiles: [1, null, 3] })],
  ["quantiles that are no list", "rank", (f) => ({ ...f, quantiles: { length: 3 } })],
  ["a list of millions", "rank", (f) => ({ ...f, quantiles: new Array(2_000_000).fill(0) })],
  ["no exponent", "power", ({ lambda: _, ...f }) => f],
  ["a stddev of 0", "power", (f) => ({ ...f, stddev: 0 })],
  ["as many edges as bins", "bin", (f) => ({ ...f, edges: [1, 2, 3] })],
  ["edges that fall", "bin", (f) => ({ ...f, edges: [2, 1] })],
  ["a category that is a number", "code", (f) => ({ ...f, categories: [1] })],
  ["a category that is infrequent as well", "code", (f) => ({ ...f, categories: ["a"], infrequent: ["a"] })],
  ["more codes than declared", "code", () => ({ kind: "ordinal", categories: ["a", "b"], infrequent: ["c"] })],
  ["a null that is no category", "plain", (f) => ({ ...f, categories: [null] })],
  [
    "millions of categories",
    "plain",
    (f) => ({ ...f, categories: Array.from({ length: 1_000_001 }, (_, i) => `${i}`) }),
  ],
  ["a text outside the declared list", "fill", (f) => ({ ...f, value: "top" })],
  ["a count of 0", "often", (f) => ({ ...f, counts: f.counts.map(() => 0), rows: 0 })],
  ["fewer counts than categories", "often", (f) => ({ ...f, counts: f.counts.slice(1) })],
  ["counts that do not add up", "often", (f) => ({ ...f, rows: 99 })],
  ["a category twice", "often", (f) => ({ ...f, categories: ["a", "a", "c"] })],
  ["encodings of another number of classes", "target", (f) => ({ ...f, encodings: f.encodings.slice(1) })],
  [
    "encodings of another length",
    "target",
    (f) => ({ ...f, encodings: f.encodings.map((list: number[]) => [...list, 0]) }),
  ],
  ["means that are not finite", "target", (f) => ({ ...f, means: [0.5, Number.NaN] })],
  ["another kind", "target", (f) => ({ ...f, kind: "ordinal" })],
  ["nothing", "target", () => null],
];

describe("fitted state of what no fit can give", () => {
  test.each(damages)("is refused: %s", async (_, feature, damage) => {
    const { compiled, state } = await fitted();
    const id = `${feature}:0`;
    expect(() => compiled.bind(state)).not.toThrow();
    const bad = { ...state, transforms: { ...state.transforms, [id]: damage(structuredClone(state.transforms[id])) } };
    expect(() => compiled.bind(bad as FittedState)).toThrow(
      expect.objectContaining({ code: "FITTED_STATE_MISMATCH", message: expect.stringContaining(`'${id}'`) }),
    );
  });

  test("is refused where a transform's name is one of every object's", async () => {
    const { compiled, state } = await fitted();
    const bad = { ...state, transforms: Object.create(state.transforms) as FittedState["transforms"] };
    expect(() => compiled.bind(bad)).toThrow(expect.objectContaining({ code: "FITTED_STATE_MISMATCH" }));
  });
});
