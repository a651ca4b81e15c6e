import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Value } from "../../../src/definitions/value.ts";
import type { EventOrder } from "../../../src/feature_engineering/aggregations/aggregation.ts";
import {
  countDistinctAggregation,
  type DistinctState,
  exactDistinctLimit,
} from "../../../src/feature_engineering/aggregations/count-distinct.ts";
import {
  addHash,
  estimateCardinality,
  registerCount,
} from "../../../src/feature_engineering/aggregations/hyper-log-log.ts";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { naiveAggregate } from "../../../src/feature_engineering/windows/naive-aggregate.ts";

const { create, add, merge, finish, encode, decode } = countDistinctAggregation;
const order: EventOrder = { eventTime: 0, version: null, ingestedAt: 0, hash0: 0, hash1: 0, hash2: 0, hash3: 0 };

function setOf(values: Iterable<Value>): DistinctState {
  let state = create();
  for (const value of values) state = add(state, value, order);
  return state;
}

function bytesOf(state: DistinctState): Uint8Array {
  const out = createByteWriter();
  encode(state, out);
  return out.finish();
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

describe("a distinct count", () => {
  test("is exact up to its limit, with any repetition", () => {
    for (const size of [0, 1, 4, 5, 100, exactDistinctLimit]) {
      expect(finish(setOf([...range(0, size), ...range(0, size)]))).toBe(size);
    }
  });

  test("tells values of one text apart by type", () => {
    expect(finish(setOf(["1", 1, 1n, true, [1], ["1"]]))).toBe(6);
  });

  test("is the same set, to the last byte, however values arrive on both sides of the limit", () => {
    const sizes = fc.constantFrom(0, 1, 300, exactDistinctLimit - 1, exactDistinctLimit, exactDistinctLimit + 1, 900);
    fc.assert(
      fc.property(sizes, sizes, fc.nat(600), fc.boolean(), (a, b, offset, stored) => {
        const left = range(0, a).map((index) => `merchant ${index}`);
        const right = range(offset, offset + b).map((index) => `merchant ${index}`);
        const whole = setOf([...right, ...left].reverse());
        const other = setOf(right);
        const arrived = stored ? decode(createByteReader(bytesOf(other))) : other;
        const merged = merge(setOf(left), arrived);
        expect(bytesOf(merged)).toStrictEqual(bytesOf(whole));
        expect(bytesOf(merge(setOf(right), setOf(left)))).toStrictEqual(bytesOf(whole));
        expect(bytesOf(arrived)).toStrictEqual(bytesOf(other));
        const events = [...left, ...right].map((value) => ({ value, order }));
        const expected = naiveAggregate({ name: "count_distinct", input: { kind: "string", nullable: false } }, events);
        expect(finish(merged)).toBe(expected);
      }),
      { numRuns: 60 },
    );
  });

  test.each([513, 1000, 5000, 20_000, 100_000])("estimates %i values within four standard errors", (size) => {
    const count = finish(setOf(range(0, size))) as number;
    expect(Number.isInteger(count)).toBe(true);
    expect(Math.abs(count - size) / size).toBeLessThan(4 * 0.01625);
    expect(count).toBeGreaterThan(exactDistinctLimit);
  });

  test("has a standard error of 1.6 %", () => {
    let squares = 0;
    const trials = 60;
    for (let trial = 0; trial < trials; trial++) {
      const count = finish(setOf(range(0, 3000).map((index) => `${trial}:${index}`))) as number;
      squares += ((count - 3000) / 3000) ** 2;
    }
    const error = Math.sqrt(squares / trials);
    expect(error).toBeGreaterThan(0.008);
    expect(error).toBeLessThan(0.024);
  });
});

describe("HyperLogLog registers", () => {
  test("take the top twelve bits as index and the place of the next set bit as rank", () => {
    const registers = new Uint8Array(registerCount);
    addHash(registers, 0xfff80000, 0);
    expect(registers[0xfff]).toBe(1);
    addHash(registers, 0xfff00001, 0);
    expect(registers[0xfff]).toBe(20);
    addHash(registers, 0xfff00000, 0x80000000);
    expect(registers[0xfff]).toBe(21);
    addHash(registers, 0xfff00000, 1);
    expect(registers[0xfff]).toBe(52);
    addHash(registers, 0xfff00000, 0);
    expect(registers[0xfff]).toBe(53);
    addHash(registers, 0xfff80000, 0);
    expect(registers[0xfff]).toBe(53);
  });

  test("that are empty count nothing", () => {
    expect(estimateCardinality(new Uint8Array(registerCount))).toBe(0);
  });
});
