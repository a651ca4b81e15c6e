import { describe, expect, test } from "vitest";
import {
  CategoricalTransform,
  type FeatureService,
  featureService,
  label,
  NumericTransform,
  requestSource,
  t,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import { planService } from "../../../src/feature_engineering/plan/plan-entries.ts";
import { serviceHash } from "../../../src/feature_engineering/plan/plan-hash.ts";

const request = requestSource({ x: t.float64().nullable(), text: t.string().nullable() });
const number = NumericTransform.of(request.x);
const text = CategoricalTransform.of(request.text);

const metaOf = (y: object): FeatureService<object, object>[typeof Meta] =>
  (featureService("tested", { features: { y } } as never) as FeatureService<object, object>)[Meta];
const hashOf = (y: object): string => serviceHash(metaOf(y));

describe("the plan of a transform", () => {
  test("has another hash for every other parameter", () => {
    const all = [
      number.impute("mean"),
      number.impute("median"),
      number.minMax(),
      number.minMax({ range: [0, 2] }),
      number.minMax({ clip: true }),
      number.maxAbs(),
      number.maxAbs({ clip: true }),
      number.robust(),
      number.robust({ percentiles: [20, 75] }),
      number.robust({ center: false }),
      number.robust({ scale: false }),
      number.robust({ unitVariance: true }),
      number.quantile(),
      number.quantile({ quantiles: 10 }),
      number.quantile({ output: "normal" }),
      number.power(),
      number.power({ method: "box_cox" }),
      number.power({ standardize: false }),
      number.kBins(3),
      number.kBins(4),
      number.kBins(3, { strategy: "kmeans" }),
      number.kBins(3, { quantileMethod: "linear" }),
      number.kBins(3, { encode: "one_hot" }),
      text.impute("most_frequent"),
      text.oneHot(["a"]),
      text.oneHot(["a"], { unknown: "error" }),
      text.oneHot(["a"], { nulls: "category" }),
      text.oneHot({ maxCategories: 2 }),
      text.oneHot({ maxCategories: 3 }),
      text.oneHot({ maxCategories: 2, minFrequency: 2 }),
      text.oneHot({ maxCategories: 2, unknown: "infrequent" }),
      text.ordinal(),
      text.ordinal(["a"]),
      text.ordinal({ unknown: 5 }),
      text.ordinal({ nulls: 5 }),
      text.ordinal({ maxCategories: 2 }),
      text.frequency(),
      text.frequency({ relative: true }),
      text.frequency({ nulls: "category" }),
      text.target(label("y", t.bool())),
      text.target(label("z", t.bool())),
      text.target(label("y", t.float64())),
      text.target(label("y", t.oneOf("a", "b"))),
      text.target(label("y", t.oneOf("b", "a"))),
      text.target(label("y", t.bool()), { smooth: 1 }),
      text.target(label("y", t.bool()), { folds: 3 }),
      text.target(label("y", t.bool()), { nulls: "category" }),
      text.hash(4),
      text.hash(4, { algorithm: "murmur3_32" }),
      text.hashColumns(4),
      text.hashColumns(4, { signed: false }),
    ];
    expect(new Set(all.map(hashOf)).size).toBe(all.length);
  });

  test("has the same hash for what is declared by its default", () => {
    expect(hashOf(number.minMax({ range: [0, 1], clip: false }))).toBe(hashOf(number.minMax()));
    expect(hashOf(text.oneHot(["a"], { unknown: "ignore" }))).toBe(hashOf(text.oneHot(["a"])));
    expect(hashOf(text.hash(4, { algorithm: "murmur3_128" }))).toBe(hashOf(text.hash(4)));
    expect(hashOf(text.ordinal({}))).toBe(hashOf(text.ordinal()));
  });

  test("shows what was declared, and the columns that it makes", () => {
    const plan = planService(metaOf(text.target(label("end", t.oneOf("good", "bad")), { smooth: 2 })));
    expect(plan.features).toMatchObject([
      {
        expression: {
          op: "target",
          label: { name: "end", type: { kind: "one_of", nullable: false, values: ["good", "bad"] } },
          classes: ["good", "bad"],
          smooth: 2,
          folds: 5,
          nulls: "null",
          input: { op: "request", column: "text" },
        },
      },
    ]);
    expect(plan.columns).toMatchObject([{ name: "y_good" }, { name: "y_bad" }]);
  });
});
