import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exp32, log32, logit32, sigmoid32, softmax32 } from "../../../src/api/models/float32-math.ts";

/** Values of glibc 2.36's expf and logf, at which rounding the double's result would give another float32. */
const EXP_CASES: readonly [number, number][] = [
  [-2.905712127685547, 0.054709818214178085],
  [3.3943986892700195, 29.79673194885254],
  [2.6119744777679443, 13.62592887878418],
  [2.643311023712158, 14.05967903137207],
];
const LOG_CASES: readonly [number, number][] = [
  [7.102104187011719, 1.9603910446166992],
  [1.0843896865844727, 0.08101732283830643],
  [1.0854125022888184, 0.08196009695529938],
  [0.7918477058410645, -0.23338618874549866],
];

/** The distance of two float32 values of one sign, in units in the last place. */
function ulps(a: number, b: number): number {
  const [x, y] = new Int32Array(Float32Array.of(a, b).buffer) as unknown as [number, number];
  return Math.abs(x - y);
}

describe("float32 functions", () => {
  test.each(EXP_CASES)("exp32(%f) is glibc's", (x, expected) => {
    expect(exp32(x)).toBe(expected);
    expect(Math.fround(Math.exp(x))).not.toBe(expected);
  });

  test.each(LOG_CASES)("log32(%f) is glibc's", (x, expected) => {
    expect(log32(x)).toBe(expected);
    expect(Math.fround(Math.log(x))).not.toBe(expected);
  });

  test("are within one unit of the exact result everywhere", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (x) => {
        expect(ulps(exp32(x), Math.exp(x))).toBeLessThanOrEqual(1);
        if (x > 0) expect(Math.abs(ulps(log32(x), Math.log(x)))).toBeLessThanOrEqual(1);
      }),
      { numRuns: 5000 },
    );
  });

  test("reach their limits", () => {
    expect([exp32(200), exp32(-200), exp32(0), log32(0), log32(1), log32(Number.POSITIVE_INFINITY)]).toEqual([
      Number.POSITIVE_INFINITY,
      0,
      1,
      Number.NEGATIVE_INFINITY,
      0,
      Number.POSITIVE_INFINITY,
    ]);
    expect([log32(-1), log32(Number.NaN), exp32(Number.NaN)]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    expect(sigmoid32(0)).toBe(0.5);
    expect(sigmoid32(200)).toBe(1);
    expect(sigmoid32(-200)).toBeGreaterThan(0);
    expect(logit32(0.5)).toBeCloseTo(0, 12);
  });

  test("softmax gives probabilities and leaves its neighbours alone", () => {
    const values = Float32Array.of(7, 1000, 1001, 999, 7);
    softmax32(values, 1, 3);
    expect(values[0]).toBe(7);
    expect(values[4]).toBe(7);
    expect(values[1]! + values[2]! + values[3]!).toBeCloseTo(1, 6);
    expect(values[2]).toBeGreaterThan(values[1]!);
  });
});
