import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addExact,
  addExactSquare,
  createExactSum,
  type ExactSum,
  encodeExact,
  exactScaledInteger,
  mergeEncodedExact,
  mergeExact,
  roundExact,
} from "../../../src/feature_engineering/aggregations/exact-sum.ts";
import { type ByteReader, createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { doubles, fullDouble } from "./arbitraries.ts";

/** x · 2^1074, from the bits of the double. */
function integerOf(x: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const exponent = (bits >> 52n) & 0x7ffn;
  const fraction = bits & (2n ** 52n - 1n);
  const magnitude = exponent === 0n ? fraction : (fraction + 2n ** 52n) << (exponent - 1n);
  return x < 0 ? -magnitude : magnitude;
}

function sumOf(terms: readonly number[]): ExactSum {
  const sum = createExactSum();
  for (const x of terms) addExact(sum, x);
  return sum;
}

function bytesOf(sum: ExactSum): Uint8Array {
  const out = createByteWriter(16);
  encodeExact(sum, out);
  return out.finish();
}

function decodeExact(input: ByteReader): ExactSum {
  const sum = createExactSum();
  mergeEncodedExact(sum, input);
  return sum;
}

const rounded = (terms: readonly number[]): number => roundExact(sumOf(terms));

describe("an exact sum", () => {
  test.each([
    ["nothing", [], 0],
    ["ten tenths", new Array(10).fill(0.1), 1],
    ["a one between huge terms that cancel", [1e16, 1, -1e16], 1],
    ["terms of four magnitudes that cancel", [1, 1e100, 1, -1e100], 2],
    ["a term beyond the doubles on the way", [1e308, 1e308, -1e308], 1e308],
    ["both ends cancelled, with the smallest subnormal left", [1.7e308, 5e-324, 1e308, -1.7e308, -1e308], 5e-324],
    ["a tie, to even (down)", [1, 2 ** -53], 1],
    ["a tie, to even (up)", [1 + 2 ** -52, 2 ** -53], 1 + 2 ** -51],
    ["just above a tie", [1, 2 ** -53, 5e-324], 1 + 2 ** -52],
    ["just below a tie", [1 + 2 ** -52, 2 ** -53, -5e-324], 1 + 2 ** -52],
    ["a tie at the large end", [2 ** 1000, 2 ** 947], 2 ** 1000],
    ["just above a tie at the large end", [2 ** 1000, 2 ** 947, 5e-324], 2 ** 1000 + 2 ** 948],
    ["just below a tie at the large end, negative", [-(2 ** 1000), -(2 ** 947), 5e-324], -(2 ** 1000)],
    ["subnormals", [5e-324, 5e-324, 2 ** -1022], 2 ** -1022 + 1e-323],
    ["too much", [1e308, 1e308], Number.POSITIVE_INFINITY],
    ["too little", [-1e308, -1e308], Number.NEGATIVE_INFINITY],
    ["the largest double and less than half a unit", [Number.MAX_VALUE, 2 ** 969], Number.MAX_VALUE],
    ["the largest double and half a unit", [Number.MAX_VALUE, 2 ** 970], Number.POSITIVE_INFINITY],
  ])("rounds once: %s", (_, terms, expected) => {
    expect(rounded(terms)).toBe(expected);
    expect(rounded([...terms].reverse())).toBe(expected);
  });

  test("is exact for any doubles, in any split", () => {
    fc.assert(
      fc.property(doubles, doubles, (a, b) => {
        const expected = [...a, ...b].reduce((total, x) => total + integerOf(x), 0n);
        const merged = sumOf(a);
        mergeExact(merged, sumOf(b));
        expect(exactScaledInteger(merged)).toBe(expected);
        expect(exactScaledInteger(sumOf([...b, ...a]))).toBe(expected);
      }),
      { numRuns: 1000 },
    );
  });

  test("adds squares exactly from 2^-480 on, and below as the nearest double", () => {
    const terms = fc.array(
      fc.oneof(fullDouble(-560, -470), fullDouble(-30, 30), fullDouble(470, 490), fullDouble(-1073, 1023)),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(terms, (list) => {
        const sum = createExactSum();
        for (const x of list) addExactSquare(sum, x);
        const expected = list
          .map((x) => (Math.abs(x) < 2 ** -480 ? integerOf(x * x) : (integerOf(x) ** 2n) >> 1074n))
          .reduce((a, b) => a + b, 0n);
        expect(exactScaledInteger(sum)).toBe(expected);
      }),
      { numRuns: 1000 },
    );
  });

  test("encodes doubles that are each the nearest to what remains", () => {
    fc.assert(
      fc.property(doubles, (terms) => {
        const sum = sumOf(terms.filter((x) => Math.abs(x) < 2 ** 900));
        const again = decodeExact(createByteReader(bytesOf(sum)));
        expect(exactScaledInteger(again)).toBe(exactScaledInteger(sum));
        // The doubles as they are in the bytes: a decoded sum may hold the same value in other ones.
        const reader = createByteReader(bytesOf(sum));
        const header = reader.varint();
        const encoded = (header & 2) !== 0 ? [] : Array.from({ length: Math.floor(header / 4) }, () => reader.f64());
        for (let index = 0; index < encoded.length; index++) {
          expect(roundExact(sumOf(encoded.slice(index)))).toBe(encoded[index]);
        }
      }),
    );
  });

  test("encodes a sum just beside the middle of two doubles as the nearer one first", () => {
    const terms = [-5e-324, 999999851.9089258, 999999851.9089252];
    const bytes = bytesOf(sumOf(terms));
    expect(bytesOf(sumOf(terms.toReversed()))).toEqual(bytes);
    const reader = createByteReader(bytes);
    reader.varint();
    expect(reader.f64()).toBe(roundExact(sumOf(terms)));
    expect(bytesOf(decodeExact(createByteReader(bytes)))).toEqual(bytes);
  });

  test("takes two bytes for zero, and few for small integers", () => {
    expect(bytesOf(sumOf([1e300, -1e300]))).toHaveLength(2);
    expect(bytesOf(sumOf([0.5, 0.5]))).toHaveLength(2);
    expect(bytesOf(sumOf([1000, 2000]))).toHaveLength(3);
    expect(bytesOf(sumOf([0.1]))).toHaveLength(9);
    expect(bytesOf(sumOf([0.1, 0.2]))).toHaveLength(17);
  });
});
