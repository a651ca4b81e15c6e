import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Value } from "../../../src/definitions/value.ts";
import type { EventOrder } from "../../../src/feature_engineering/aggregations/aggregation.ts";
import {
  compareEventOrder,
  decodeEventOrder,
  encodeEventOrder,
} from "../../../src/feature_engineering/aggregations/event-order.ts";
import { lastNAggregation, lastNEventTime } from "../../../src/feature_engineering/aggregations/last-n.ts";
import { latestAggregation, latestEventTime } from "../../../src/feature_engineering/aggregations/latest.ts";
import { compareValues } from "../../../src/feature_engineering/aggregations/ordered-value.ts";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { orderArbitrary } from "./arbitraries.ts";

const base: EventOrder = { eventTime: 5, version: 3, ingestedAt: 7, hash0: 1, hash1: 1, hash2: 1, hash3: 1 };

describe("the order of events", () => {
  test.each([
    ["event time, also a negative one", { eventTime: -1, version: 9, ingestedAt: 99 }, { eventTime: 0 }],
    ["version", { version: 2, ingestedAt: 99 }, { version: 3 }],
    ["no version first", { version: null, ingestedAt: 99 }, { version: -5 }],
    ["bigint versions by value", { version: 9n, ingestedAt: 99 }, { version: 10n }],
    ["bigint and number versions by value", { version: 2 ** 53, ingestedAt: 99 }, { version: 2n ** 53n + 1n }],
    ["arrival", { ingestedAt: 6, hash0: 9 }, { ingestedAt: 7 }],
    ["arrival where versions of two types are equal", { version: 3n, ingestedAt: 6 }, { version: 3 }],
    ["the first hash word, unsigned", { hash0: 2 ** 31 - 1, hash1: 9 }, { hash0: 2 ** 31 }],
    ["the second hash word", { hash1: 0, hash2: 9 }, {}],
    ["the third hash word", { hash2: 0, hash3: 9 }, {}],
    ["the last hash word", { hash3: 2 ** 32 - 2 }, { hash3: 2 ** 32 - 1 }],
  ])("goes by %s", (_, before, after) => {
    const a = { ...base, ...before };
    const b = { ...base, ...after };
    expect(compareEventOrder(a, b)).toBeLessThan(0);
    expect(compareEventOrder(b, a)).toBeGreaterThan(0);
    expect(compareEventOrder(a, { ...a })).toBe(0);
  });

  test("survives a round trip through bytes", () => {
    fc.assert(
      fc.property(orderArbitrary(2 ** 32 - 1), (order) => {
        const out = createByteWriter(16);
        encodeEventOrder(order, out);
        expect(decodeEventOrder(createByteReader(out.finish()))).toStrictEqual(order);
      }),
    );
  });

  test("falls back on a total order of values", () => {
    const sorted: Value[] = [null, false, true, -1, 2, 1n, 2n, "B", "a", [], [1], [1, 0], [2]];
    for (const [i, a] of sorted.entries()) {
      for (const [j, b] of sorted.entries()) expect(Math.sign(compareValues(a, b))).toBe(Math.sign(i - j));
    }
  });
});

describe("latest and last_n", () => {
  const last3 = lastNAggregation(3);

  test("hold nulls as facts", () => {
    const state = latestAggregation.add(latestAggregation.add(null, 4, base), null, { ...base, eventTime: 6 });
    expect(latestAggregation.finish(state)).toBeNull();
    expect(latestEventTime(state)).toBe(6);
    expect(latestEventTime(latestAggregation.create())).toBeNull();
    const list = last3.add(last3.add(last3.create(), null, base), 1, { ...base, eventTime: 4 });
    expect(last3.finish(list)).toStrictEqual([1, null]);
    expect(lastNEventTime(list)).toBe(5);
    expect(lastNEventTime(last3.create())).toBeNull();
  });

  test("copy the order, so that one object may serve all events", () => {
    const order = { ...base };
    const latest = latestAggregation.add(null, "old", order);
    const list = last3.add(last3.create(), "old", order);
    order.eventTime = 1;
    latestAggregation.add(latest, "older", order);
    last3.add(list, "older", order);
    expect(latestAggregation.finish(latest)).toBe("old");
    expect(last3.finish(list)).toStrictEqual(["older", "old"]);
  });

  test("decide between two values at one place the same way from both sides", () => {
    const a = latestAggregation.add(null, "a", base);
    const b = latestAggregation.add(null, "b", base);
    expect(latestAggregation.finish(latestAggregation.merge(a, b))).toBe("b");
    expect(latestAggregation.finish(latestAggregation.merge(b, latestAggregation.add(null, "a", base)))).toBe("b");
    const left = last3.merge(last3.add(last3.create(), "b", base), last3.add(last3.create(), "a", base));
    expect(last3.finish(left)).toStrictEqual(["a", "b"]);
  });

  test("count an event twice that is added twice", () => {
    const once = last3.add(last3.create(), "x", base);
    const twice = last3.add(once, "x", base);
    expect(last3.finish(twice)).toStrictEqual(["x", "x"]);
    const merged = last3.merge(last3.merge(last3.create(), twice), twice);
    expect(last3.finish(merged)).toStrictEqual(["x", "x", "x"]);
  });
});
