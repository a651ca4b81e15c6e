import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSample, type SortedSample } from "../../../src/feature_engineering/transforms/sample.ts";

function sampleOf(values: readonly number[], exact?: number): SortedSample {
  const sample = createSample(exact);
  for (const value of values) sample.add(value);
  return sample.sorted();
}
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0);
const all = (sample: SortedSample): number[] => Array.from({ length: sample.n }, (_, position) => sample.at(position));

describe("a sample", () => {
  test("up to its limit is the column itself, sorted", () => {
    fc.assert(
      fc.property(fc.array(finite, { maxLength: 50 }), (values) => {
        expect(all(sampleOf(values, 50))).toEqual([...values].sort((a, b) => a - b));
      }),
    );
  });

  test("above it holds every value to 16 bits, whatever their order", () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 6, maxLength: 60 }), (values) => {
        const sample = sampleOf(values, 5);
        const sorted = [...values].sort((a, b) => a - b);
        expect(sample.n).toBe(values.length);
        for (const [position, value] of sorted.entries()) {
          expect(Math.abs(sample.at(position) - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -16 + 2 ** -1050);
        }
        expect(sampleOf(values.toReversed(), 5).values).toEqual(sample.values);
        expect(sampleOf(values.toReversed(), 5).counts).toEqual(sample.counts);
      }),
    );
  });

  test("of a long column with few values keeps few", () => {
    const sample = sampleOf(
      Array.from({ length: 10_000 }, (_, index) => index % 7),
      100,
    );
    expect([...sample.values]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect([sample.n, sample.at(0), sample.at(9_999)]).toEqual([10_000, 0, 6]);
  });
});
