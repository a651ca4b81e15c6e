import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EventOrder } from "../../../src/feature_engineering/aggregations/aggregation.ts";
import { quantileAggregation } from "../../../src/feature_engineering/aggregations/quantile.ts";
import {
  bucketOf,
  decodeSketch,
  encodeSketch,
  middleOf,
} from "../../../src/feature_engineering/aggregations/quantile-sketch.ts";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { interestingDouble } from "./arbitraries.ts";

const order: EventOrder = { eventTime: 0, version: null, ingestedAt: 0, hash0: 0, hash1: 0, hash2: 0, hash3: 0 };
const places = [0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1];
const smallestNormal = 2 ** -1022;

/** What the docs promise: within 1/128 of the value at the place ⌊q · (n − 1)⌋, and the ends exactly. */
function checkQuantiles(values: readonly number[]): void {
  const sorted = Float64Array.from(values).sort();
  let state = quantileAggregation(0).create();
  for (const x of values) state = quantileAggregation(0).add(state, x, order);
  let before = Number.NEGATIVE_INFINITY;
  for (const q of places) {
    const estimate = quantileAggregation(q).finish(state) as number;
    const exact = sorted[Math.floor(q * (values.length - 1))]!;
    if (q === 0 || q === 1) expect(estimate).toBe(exact);
    if (Math.abs(exact) < smallestNormal) expect(Math.abs(estimate)).toBeLessThan(smallestNormal);
    // 1/128 of the exact value, in doubles that cannot overflow.
    else expect(Math.abs(estimate / exact - 1)).toBeLessThanOrEqual(1 / 128);
    expect(estimate).toBeGreaterThanOrEqual(before);
    before = estimate;
  }
}

describe("a quantile", () => {
  test("is within 1/128 of the exact one for any values, and rises with q", () => {
    const adversarial = fc.oneof(
      fc.array(interestingDouble, { minLength: 1, maxLength: 60 }),
      // A few values on the edges of buckets, each many times: a place off by one falls into another bucket.
      fc
        .array(
          fc.record({
            edge: fc.integer({ min: 64, max: 2_046 * 64 }),
            below: fc.boolean(),
            negative: fc.boolean(),
            times: fc.integer({ min: 1, max: 40 }),
          }),
          { minLength: 1, maxLength: 8 },
        )
        .map((parts) =>
          parts.flatMap(({ edge, below, negative, times }) => {
            const lower = lowerEdge(edge);
            const x = below ? lower * (1 - 2 ** -53) : lower;
            return new Array<number>(times).fill(negative ? -x : x);
          }),
        ),
      fc.array(
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0),
        { minLength: 1 },
      ),
    );
    fc.assert(fc.property(adversarial, checkQuantiles), { numRuns: 2_000 });
  });

  test.each<[string, (i: number, uniform: number) => number]>([
    ["uniform", (_, u) => u * 1_000],
    ["exponential", (_, u) => -Math.log(1 - u) * 30],
    ["Pareto with no mean", (_, u) => (1 - u) ** -2],
    ["log-normal over thirty decades", (_, u) => 10 ** ((u - 0.5) * 30)],
    ["two far clusters", (_, u) => (u < 0.5 ? 1e-9 + u * 1e-12 : 1e9 + u)],
    ["ascending", (i) => i],
    ["around zero", (i, u) => (i % 3 === 0 ? 0 : (u - 0.5) * 1e-3)],
    ["constant", () => 100.39],
    ["constant but for one", (i) => (i === 777 ? -1e300 : 5)],
    ["negative money", (_, u) => Math.round(-u * 100_000) / 100],
  ])("is within 1/128 of the exact one for %s values", (_, draw) => {
    let seed = 7;
    const uniform = (): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return seed / 2 ** 32;
    };
    checkQuantiles(Array.from({ length: 20_000 }, (_, i) => draw(i, uniform())));
  });

  test("of few values is near one of them, not between two", () => {
    let state = quantileAggregation(0.5).create();
    for (const x of [1, 10, 1_000, 2_000]) state = quantileAggregation(0.5).add(state, x, order);
    expect(quantileAggregation(0.5).finish(state)).toBe(10.0625);
    expect(quantileAggregation(0.1).finish(state)).toBe(1);
    expect(quantileAggregation(1).finish(state)).toBe(2_000);
  });
});

describe("the bucket of a double", () => {
  test("rises with it, is mirrored by its sign, and its middle lies in it", () => {
    fc.assert(
      fc.property(interestingDouble, interestingDouble, (a, b) => {
        if (a < b) expect(bucketOf(a)).toBeLessThanOrEqual(bucketOf(b));
        expect(bucketOf(-a) + bucketOf(a)).toBe(0);
        expect(bucketOf(middleOf(bucketOf(a)))).toBe(bucketOf(a));
      }),
    );
  });

  test("of magnitudes with fewer bits than others is that of 0", () => {
    expect([0, 5e-324, -5e-324, smallestNormal * (1 - 2 ** -52)].map(bucketOf)).toEqual([0, 0, 0, 0]);
    expect(bucketOf(smallestNormal)).toBe(64);
    expect(bucketOf(Number.MAX_VALUE)).toBe(2_047 * 64 - 1);
  });
});

test("a sketch that was cut or does not end with its largest value is refused", () => {
  let state = quantileAggregation(0).create();
  for (const x of [1, 2.5, 2.5, 7]) state = quantileAggregation(0).add(state, x, order);
  const out = createByteWriter();
  encodeSketch(state, out);
  const bytes = out.finish();
  const malformed = expect.objectContaining({ code: "MALFORMED_BYTES" });
  for (let end = 0; end < bytes.length; end++) {
    expect(() => decodeSketch(createByteReader(bytes, 0, end))).toThrow(malformed);
  }
  const other = bytes.slice();
  other[other.length - 1]! ^= 2;
  expect(() => decodeSketch(createByteReader(other))).toThrow(malformed);
});

/** The smallest double of a positive bucket. */
function lowerEdge(bucket: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, bucket << 14);
  return view.getFloat64(0);
}
