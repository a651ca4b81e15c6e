import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { roundDyadic, roundQuotient, toScaledInteger } from "../../../src/feature_engineering/aggregations/dyadic.ts";
import { interestingDouble } from "./arbitraries.ts";

/** The nearest double by way of decimals, which JavaScript reads with one correct rounding. */
function nearest(numerator: bigint, denominator: bigint): number {
  const scaled = (numerator < 0n ? -numerator : numerator) * 10n ** 2400n;
  const magnitude = Number(`${scaled / denominator}${scaled % denominator === 0n ? 0 : 1}e-2401`);
  return numerator < 0n ? -magnitude : magnitude + 0;
}

const bigOf = (bits: number): fc.Arbitrary<bigint> =>
  fc.bigInt({ min: -(2n ** BigInt(bits)), max: 2n ** BigInt(bits) });

describe("rounding exact numbers", () => {
  test("gives back every double", () => {
    fc.assert(
      fc.property(interestingDouble, (x) => {
        expect(roundDyadic(toScaledInteger(x), 1074)).toBe(x);
        expect(roundDyadic(toScaledInteger(x) << 1074n, 2148)).toBe(x);
      }),
    );
  });

  test("rounds dyadic numbers to the nearest double, ties to even", () => {
    const near = fc
      .tuple(interestingDouble, interestingDouble, fc.constantFrom(-1n, 0n, 1n))
      .map(([a, b, nudge]) => (toScaledInteger(a) << 1074n) + (toScaledInteger(b) << 1073n) + nudge);
    fc.assert(
      fc.property(fc.oneof(near, bigOf(3100), bigOf(1200), bigOf(1080)), (integer) => {
        expect(roundDyadic(integer, 2148)).toBe(nearest(integer, 2n ** 2148n));
      }),
      { numRuns: 400 },
    );
  });

  test("rounds quotients once", () => {
    const numerators = fc.oneof(bigOf(60), bigOf(120), bigOf(1), bigOf(1100));
    const denominators = fc.oneof(fc.constantFrom(1n, 2n, 3n, 7n, 10n), fc.bigInt({ min: 1n, max: 2n ** 53n }));
    fc.assert(
      fc.property(numerators, denominators, fc.constantFrom(0, 1000, 1074, 1130), (numerator, denominator, scale) => {
        expect(roundQuotient(numerator, denominator, scale)).toBe(nearest(numerator, denominator << BigInt(scale)));
      }),
      { numRuns: 600 },
    );
  });

  test("rounds a middle to even and a hair beside it away, also among subnormals", () => {
    expect(roundDyadic(3n, 1075)).toBe(2 * 5e-324);
    expect(roundDyadic(5n, 1075)).toBe(2 * 5e-324);
    expect(roundDyadic(1n, 1075)).toBe(0);
    expect(roundDyadic((1n << 100n) + 1n, 1175)).toBe(5e-324);
    expect(roundDyadic((2n ** 53n + 1n) << 200n, 0)).toBe(2 ** 253);
    expect(roundDyadic(((2n ** 53n + 1n) << 200n) + 1n, 0)).toBe((2 ** 53 + 2) * 2 ** 200);
    expect(roundDyadic((2n ** 54n - 1n) << 970n, 0)).toBe(Number.POSITIVE_INFINITY);
  });
});
