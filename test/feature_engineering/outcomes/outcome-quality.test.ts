import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { areaUnderCurve } from "../../../src/feature_engineering/outcomes/area-under-curve.ts";
import { brokenBounds } from "../../../src/feature_engineering/outcomes/broken-bounds.ts";
import { outcomeQuality } from "../../../src/feature_engineering/outcomes/outcome-quality.ts";

const scored = fc.array(
  fc.record({
    label: fc.constantFrom(0, 1),
    answer: fc.oneof(fc.constantFrom(0, 0.1, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true })),
    weight: fc.constantFrom(1, 1, 4, 10),
  }),
  { maxLength: 60 },
);

describe("the quality of outcomes", () => {
  it("has the AUC that counting every pair of a positive and a negative gives, in any order", () => {
    fc.assert(
      fc.property(scored, fc.infiniteStream(fc.nat()), (pairs, order) => {
        let right = 0;
        let all = 0;
        for (const positive of pairs.filter(({ label }) => label === 1)) {
          for (const negative of pairs.filter(({ label }) => label === 0)) {
            const weight = positive.weight * negative.weight;
            all += weight;
            if (positive.answer > negative.answer) right += weight;
            if (positive.answer === negative.answer) right += weight / 2;
          }
        }
        const shuffled = pairs
          .map((pair) => ({ pair, at: order.next().value as number }))
          .sort((a, b) => a.at - b.at)
          .map(({ pair }) => pair);
        for (const list of [pairs, shuffled]) {
          const found = areaUnderCurve(list);
          if (all === 0) expect(found).toBeNull();
          else expect(found!.value).toBeCloseTo(right / all, 12);
        }
      }),
    );
  });

  it("counts a pair of weight w as w pairs", () => {
    fc.assert(
      fc.property(scored, (pairs) => {
        const weighted = outcomeQuality("binary", pairs);
        const repeated = outcomeQuality(
          "binary",
          pairs.flatMap((pair) => new Array<typeof pair>(pair.weight).fill({ ...pair, weight: 1 })),
        );
        expect(weighted.weight).toBe(repeated.rows);
        for (const [metric, { value }] of Object.entries(repeated.metrics)) {
          expect(weighted.metrics[metric as "auc"]!.value).toBeCloseTo(value, 10);
        }
      }),
    );
  });

  it("has a bin per tenth, whose rows add up, and which hold an edge below it", () => {
    const { calibration, metrics } = outcomeQuality("binary", [
      { label: 1, answer: 0, weight: 1 },
      { label: 0, answer: 0.1, weight: 1 },
      { label: 1, answer: 0.2, weight: 1 },
      { label: 1, answer: 1, weight: 1 },
    ]);
    expect(calibration.map(({ rows }) => rows)).toEqual([2, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    expect(calibration[0]).toMatchObject({ predicted: 0.05, observed: 0.5 });
    expect(metrics.expected_calibration_error!.value).toBeCloseTo((0.9 + 0.8) / 4, 12);
  });

  it("is nothing of nothing", () => {
    for (const task of ["binary", "regression", "classes"] as const) {
      expect(outcomeQuality(task, [])).toMatchObject({ rows: 0, weight: 0, metrics: {} });
    }
  });

  it("compares classes, and knows the likeliest", () => {
    const { metrics, classes } = outcomeQuality(
      "classes",
      [
        { label: "cat", answer: [0.5, 0.5], weight: 1 },
        { label: "dog", answer: [0.9, 0.1], weight: 1 },
      ],
      ["cat", "dog"],
    );
    expect(metrics.accuracy!.value).toBe(0.5);
    expect(metrics.log_loss!.value).toBeCloseTo((-Math.log(0.5) - Math.log(0.1)) / 2, 12);
    expect(classes).toMatchObject([
      { name: "cat", rows: 1, precision: 0.5, recall: 1 },
      { name: "dog", rows: 1, precision: null, recall: 0 },
    ]);
    const texts = outcomeQuality("classes", [{ label: "cat", answer: "bird", weight: 2 }]);
    expect(texts.metrics).toMatchObject({ accuracy: { value: 0 } });
    expect(texts.metrics.log_loss).toBeUndefined();
  });

  it("breaks a bound only by more than three standard errors, and never with less than fifty pairs", () => {
    const of = (rows: number, wrong: number): boolean => {
      const pairs = Array.from({ length: rows }, (_, i) => ({ label: 0, answer: i < wrong ? 1 : 0, weight: 1 }));
      return brokenBounds({ accuracy: 0.9 }, outcomeQuality("binary", pairs))[0]!.broken;
    };
    expect(of(100, 5)).toBe(false);
    expect(of(100, 15)).toBe(false);
    expect(of(100, 40)).toBe(true);
    expect(of(49, 40)).toBe(false);
    const late = Array.from({ length: 100 }, (_, i) => ({ label: 0, answer: -20 - (i % 3), weight: 1 }));
    expect(brokenBounds({ bias: 5, mae: 30 }, outcomeQuality("regression", late))).toMatchObject([
      { metric: "bias", broken: true },
      { metric: "mae", broken: false },
    ]);
  });
});
