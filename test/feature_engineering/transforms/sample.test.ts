import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
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

describe("samples that are merged", () => {
  test("are one sample of all values, below and above the limit, in any order", () => {
    fc.assert(
      fc.property(fc.array(fc.array(finite, { maxLength: 12 }), { minLength: 1, maxLength: 6 }), (shares) => {
        const samples = shares.map((values) => {
          const sample = createSample(8);
          for (const value of values) sample.add(value);
          return sample;
        });
        for (const order of [samples.slice(1), samples.slice(1).toReversed()]) {
          const merged = createSample(8);
          for (const value of shares[0]!) merged.add(value);
          for (const sample of order) merged.merge(createByteReader(bytesOf(sample)));
          const whole = createSample(8);
          for (const value of shares.flat()) whole.add(value);
          expect(bytesOf(merged)).toEqual(bytesOf(whole));
          const [found, expected] = [merged.sorted(), whole.sorted()];
          expect(found.n).toBe(expected.n);
          expect(found.values).toEqual(expected.values);
          expect(found.counts).toEqual(expected.counts);
        }
      }),
    );
  });

  test("go on taking values after they were written", () => {
    const sample = createSample(4);
    for (let value = 0; value < 10; value++) {
      sample.add(value);
      bytesOf(sample);
    }
    expect(all(sample.sorted())).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

function bytesOf(sample: ReturnType<typeof createSample>): Uint8Array {
  const out = createByteWriter();
  sample.encode(out);
  return out.finish();
}
