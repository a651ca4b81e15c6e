import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PREDICTION_BUCKETS } from "../../src/monitoring/families/buckets.ts";
import { createHistogramCell, observe } from "../../src/monitoring/histogram-cell.ts";
import { logarithmicBuckets } from "../../src/monitoring/logarithmic-buckets.ts";
import { histogramQuantile } from "./histogram-quantile.ts";

describe("a histogram cell", () => {
  it("counts a value in the first bucket whose bound is at least the value", () => {
    const bounds = fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(bounds, fc.array(fc.integer({ min: -60, max: 60 })), (unsorted, values) => {
        const sorted = unsorted.toSorted((a, b) => a - b);
        const cell = createHistogramCell(Float64Array.from(sorted));
        for (const value of values) observe(cell, value);
        let below = 0;
        for (const [i, bound] of sorted.entries()) {
          const upTo = values.filter((value) => value <= bound).length;
          expect(cell.counts[i]).toBe(upTo - below);
          below = upTo;
        }
        expect(cell.counts[sorted.length]).toBe(values.length - below);
        expect(cell.sum).toBe(values.reduce((a, b) => a + b, 0));
      }),
    );
  });

  it("ignores NaN, which would spoil the sum for good", () => {
    const cell = createHistogramCell(Float64Array.of(1));
    observe(cell, Number.NaN);
    observe(cell, 0.5);
    expect([...cell.counts]).toEqual([1, 0]);
    expect(cell.sum).toBe(0.5);
  });
});

describe("the buckets of predictions", () => {
  it("are 40 per decade from 0.1 ms to 10 s, and 10 below", () => {
    expect(PREDICTION_BUCKETS).toHaveLength(211);
    expect(PREDICTION_BUCKETS[0]).toBe(0.00001);
    expect(PREDICTION_BUCKETS[10]).toBe(0.0001);
    expect(PREDICTION_BUCKETS[50]).toBe(0.001);
    expect(PREDICTION_BUCKETS[210]).toBe(10);
    expect(PREDICTION_BUCKETS).toEqual(PREDICTION_BUCKETS.toSorted((a, b) => a - b));
    expect(logarithmicBuckets(1, 1, 1_000)).toEqual([1, 10, 100, 1_000]);
  });

  // Inverse distribution functions or sums of them, of latencies in seconds; u, v are uniform in (0, 1).
  const shapes: Readonly<Record<string, (u: number, v: number, scale: number) => number>> = {
    exponential: (u, _v, scale) => -scale * Math.log(u),
    lognormal: (u, v, scale) => scale * Math.exp(0.5 * Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v)),
    "wide lognormal": (u, v, scale) => scale * Math.exp(Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v)),
    pareto: (u, _v, scale) => scale * u ** (-1 / 2.5),
    "gamma of two": (u, v, scale) => -scale * Math.log(u * v),
    "fast path and slow path": (u, v, scale) => (v < 0.8 ? scale * (1 + u) : 8 * scale * (1 + u)),
  };

  /** The relative errors of P50, P95 and P99 against the exact ones. */
  function errors(draw: (u: number, v: number) => number): number[] {
    const cell = createHistogramCell(Float64Array.from(PREDICTION_BUCKETS));
    let state = 7;
    const random = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state + 1) / 4_294_967_298;
    };
    const values = Float64Array.from({ length: 50_000 }, () => draw(random(), random()));
    for (const value of values) observe(cell, value);
    values.sort();
    let count = 0;
    const buckets = Array.from(cell.counts, (n, i) => {
      count += n;
      return { le: cell.bounds[i] ?? Number.POSITIVE_INFINITY, count };
    });
    return [0.5, 0.95, 0.99].map((q) => {
      const exact = values[Math.ceil(q * values.length) - 1]!;
      return Math.abs(histogramQuantile(q, buckets) / exact - 1);
    });
  }

  it.each(
    Object.entries(shapes).flatMap(([shape, draw]) =>
      [0.0007, 0.003, 0.02, 0.2].map((scale) => ({ shape, scale, draw })),
    ),
  )("give P50, P95 and P99 of a $shape distribution around $scale s within 3%", ({ scale, draw }) => {
    for (const error of errors((u, v) => draw(u, v, scale))) expect(error).toBeLessThan(0.03);
  });

  it.each([0.0007, 0.003, 0.02, 0.2])("are off by less than 3% where latencies end abruptly, around %s s", (scale) => {
    for (const error of errors((u) => scale * (0.5 + u))) expect(error).toBeLessThan(0.03);
  });

  // Interpolation cannot see where in a bucket a value stands; only the width of the bucket bounds that error.
  it.each([0.0007, 0.003, 0.02, 0.2])("are off by at most a bucket where all latencies are %s s", (scale) => {
    const constant = errors(() => scale);
    for (const error of constant) expect(error).toBeLessThan(0.06);
    expect(Math.max(...constant)).toBeGreaterThan(0.0001);
  });
});
