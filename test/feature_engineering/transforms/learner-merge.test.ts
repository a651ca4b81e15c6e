import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CategoricalTransform, label, NumericTransform, requestSource, t } from "../../../src/definitions/index.ts";
import type { Value } from "../../../src/definitions/value.ts";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { readCategory, writeCategory } from "../../../src/feature_engineering/transforms/category.ts";
import { createLearner, type Learner } from "../../../src/feature_engineering/transforms/learner.ts";
import { compile } from "./inputs.ts";

const request = requestSource({ x: t.float64().nullable(), text: t.string().nullable() });
const x = NumericTransform.of(request.x);
const text = CategoricalTransform.of(request.text);
const TRANSFORMS: Readonly<Record<string, object>> = {
  standardize: x.standardize(),
  impute_mean: x.impute("mean"),
  impute_median: x.impute("median"),
  impute_most_frequent: x.impute("most_frequent"),
  min_max: x.minMax(),
  max_abs: x.maxAbs(),
  robust: x.robust({ unitVariance: true }),
  quantile: x.quantile({ quantiles: 10 }),
  power: x.power(),
  box_cox: x.power({ method: "box_cox", standardize: false }),
  k_bins: x.kBins(4),
  k_bins_uniform: x.kBins(4, { strategy: "uniform" }),
  k_bins_k_means: x.kBins(3, { strategy: "kmeans" }),
  ordinal: text.ordinal(),
  ordinal_of_a_list: text.ordinal(["a", "b"], { minFrequency: 0.2, unknown: "infrequent", nulls: "category" }),
  one_hot: text.oneHot({ maxCategories: 3, unknown: "infrequent" }),
  impute_text: text.impute("most_frequent"),
  frequency: text.frequency({ relative: true, nulls: "category" }),
  target: text.target(label("y", t.float64())),
  target_of_nulls: text.target(label("y", t.bool()), { folds: 3, smooth: 2, nulls: "category" }),
  target_of_classes: text.target(label("y", t.oneOf("late", "lost", "paid")), { folds: 2 }),
};
const PLACE = { service: "tested", feature: "y" };

interface Row {
  readonly value: Value;
  readonly label: Value;
  readonly row: number;
  /** Which learner it goes to. */
  readonly share: number;
}

const numbers = fc.oneof(
  fc.constant(null),
  fc.integer({ min: -20, max: 20 }).map((n) => n / 4 + 0),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e100, max: 1e100 }).map((n) => n + 0),
);
const texts = fc.oneof(fc.constantFrom(null, "a", "b", "c", "ü", "😀", "\ud83d"), fc.string({ unit: "binary" }));
const LABELS: Readonly<Record<string, fc.Arbitrary<Value>>> = {
  target: fc.oneof(fc.constant(null), fc.constantFrom(1e16, -1e16, 0.1, 3)),
  target_of_nulls: fc.constantFrom(true, false, null),
  target_of_classes: fc.constantFrom("late", "lost", "paid", null),
};

function rowsOf(name: string): fc.Arbitrary<readonly Row[]> {
  const value: fc.Arbitrary<Value> =
    (TRANSFORMS[name] as { expression: { op: string } }).expression.op === "numeric" ? numbers : texts;
  const row = fc.record({ value, label: LABELS[name] ?? fc.constant(null), share: fc.nat(4) });
  return fc.array(row, { maxLength: 40 }).map((rows) => rows.map((one, index) => ({ ...one, row: index })));
}

function bytesOf(learner: Learner): Uint8Array {
  const out = createByteWriter();
  learner.encode(out);
  return out.finish();
}

/** What it learned, or the code of why it could not. */
function learnedOf(learner: Learner): string {
  try {
    return JSON.stringify([learner.finish(), learner.finishFolds?.()]);
  } catch (error) {
    return (error as { readonly code: string }).code;
  }
}

describe("learners of", () => {
  for (const name of Object.keys(TRANSFORMS)) {
    test(`${name} that are merged learn what one learner does, to the bit, however rows were shared out`, () => {
      const compiled = compile({ y: TRANSFORMS[name] });
      const fit = compiled.fits[0]!;
      fc.assert(
        fc.property(rowsOf(name), fc.infiniteStream(fc.nat()), (rows, choices) => {
          const choose = (below: number): number => choices.next().value % below;
          const one = createLearner(fit, PLACE);
          for (const { value, label, row } of rows) one.add(value, label, row);
          const shares = Array.from({ length: 5 }, () => createLearner(fit, PLACE));
          for (const { value, label, row, share } of rows) shares[share]!.add(value, label, row);
          const left = [...shares];
          while (left.length > 1) {
            const [from] = left.splice(choose(left.length), 1);
            left[choose(left.length)]!.merge(createByteReader(bytesOf(from!)));
          }
          // What was taken in has not changed.
          expect(bytesOf(left[0]!)).toEqual(bytesOf(one));
          expect(learnedOf(left[0]!)).toBe(learnedOf(one));
        }),
      );
    });
  }
});

test("bytes of another form are refused", () => {
  const [fit] = compile({ y: x.standardize() }).fits;
  const learner = createLearner(fit!, PLACE);
  expect(() => learner.merge(createByteReader(Uint8Array.of(9)))).toThrow(
    expect.objectContaining({ code: "MALFORMED_BYTES" }),
  );
  const [sampled] = compile({ y: x.robust() }).fits;
  expect(() => createLearner(sampled!, PLACE).merge(createByteReader(Uint8Array.of(1, 0, 7)))).toThrow(
    expect.objectContaining({ code: "MALFORMED_BYTES" }),
  );
  expect(() => readCategory(createByteReader(Uint8Array.of(7)))).toThrow(
    expect.objectContaining({ code: "MALFORMED_BYTES" }),
  );
});

test("a category is read as it was written, also half of a pair of surrogates", () => {
  fc.assert(
    fc.property(fc.option(fc.string({ unit: "binary" })), fc.nat(0xffff), (category, unit) => {
      for (const one of [category, String.fromCharCode(unit)]) {
        const out = createByteWriter();
        writeCategory(one, out);
        expect(readCategory(createByteReader(out.finish()))).toBe(one);
      }
    }),
  );
});
