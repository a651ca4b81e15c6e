import { describe, expect, test } from "vitest";
import type { Value } from "../../../src/definitions/value.ts";
import type { EventOrder } from "../../../src/feature_engineering/aggregations/aggregation.ts";
import { topKAggregation } from "../../../src/feature_engineering/aggregations/top-k.ts";

const order: EventOrder = { eventTime: 0, version: null, ingestedAt: 0, hash0: 0, hash1: 0, hash2: 0, hash3: 0 };
const two = topKAggregation(2, 3);

function of(...values: Value[]): ReturnType<typeof two.create> {
  return values.reduce((state: ReturnType<typeof two.create>, value) => two.add(state, value, order), two.create());
}

describe("the most frequent values", () => {
  test("are in the order of their counts, then of the values", () => {
    expect(two.finish(of("b", "a", "c", "c"))).toEqual(["c", "a"]);
    expect(two.finish(of(10, 9, 10, 9))).toEqual([9, 10]);
    expect(two.finish(of(10n, 9n, 9n))).toEqual([9n, 10n]);
    expect(two.finish(of(true, false))).toEqual([false, true]);
    expect(two.finish(of("a"))).toEqual(["a"]);
    expect(two.finish(of())).toEqual([]);
  });

  test("are null above the limit and stay so, also if only the windows together pass it", () => {
    const within = of("a", "b", "c", "c");
    expect(two.finish(within)).toEqual(["c", "a"]);
    const above = two.add(within, "d", order);
    expect(two.finish(above)).toBeNull();
    expect(two.finish(two.add(above, "a", order))).toBeNull();
    expect(two.finish(two.merge(of("a", "b"), of("c", "d")))).toBeNull();
    expect(two.finish(two.merge(of("a"), above))).toBeNull();
    expect(two.finish(two.merge(above, of("a")))).toBeNull();
  });
});
