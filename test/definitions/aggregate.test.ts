import { describe, expect, test } from "vitest";
import * as aggregates from "../../src/definitions/aggregate.ts";
import {
  entity,
  featureView,
  first,
  histogram,
  httpPush,
  quantile,
  quantiles,
  streamSource,
  t,
  topK,
} from "../../src/definitions/index.ts";
import { Meta } from "../../src/definitions/meta.ts";

const { count, ...ofColumns } = aggregates;
const parameters: Record<string, unknown> = { lastN: 3, quantile: 0.5, quantiles: [0.5], topK: 3, histogram: [0] };

const orders = streamSource("orders", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  schema: {
    shop_id: t.string(),
    amount: t.float64(),
    cents: t.int64(),
    tags: t.list(t.string()),
    at: t.timestamp(),
  },
});
const shop = entity("shop", { shop_id: t.string() });

// The types refuse most of these; a caller without types, or with computed parameters, meets the checks.
// biome-ignore lint/suspicious/noExplicitAny: see above
const any = (value: unknown): any => value;

describe("an aggregation", () => {
  test.each(Object.entries(ofColumns))("%s refuses what is no column, when it is declared", (name, make) => {
    const declare = make as (column: unknown, parameter?: unknown) => unknown;
    for (const wrong of [undefined, null, "amount", 5, {}]) {
      expect(() => declare(wrong, parameters[name])).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
    }
  });

  test("of events alone needs no column", () => {
    expect(count().over("1h")).toBeDefined();
  });

  test.each<[string, () => unknown, string]>([
    ["a quantile above 1", () => quantile(orders.amount, any(95)), "0 to 1"],
    ["a quantile that is no number", () => quantile(orders.amount, any("0.5")), "0 to 1"],
    ["a quantile that is NaN", () => quantile(orders.amount, Number.NaN as number), "0 to 1"],
    ["a quantile of timestamps", () => quantile(any(orders.at), 0.5), "derive a number"],
    ["quantiles that are no list", () => quantiles(orders.amount, any(0.5)), "1 to 100"],
    ["boundaries that are no list", () => histogram(orders.amount, any(5)), "boundaries"],
    ["no quantiles", () => quantiles(orders.amount, any([])), "1 to 100"],
    ["one quantile out of range", () => quantiles(orders.amount, any([0.5, 2])), "0 to 1"],
    ["a default of the wrong length", () => quantiles(orders.amount, [0.5, 0.9]).default(any([0])), "2"],
    ["the most frequent 0", () => topK(orders.amount, 0), "1 to 1,000"],
    ["the most frequent 1.5", () => topK(orders.amount, 1.5), "1 to 1,000"],
    ["a limit below k", () => topK(orders.amount, 5, { limit: 4 }), "from k"],
    ["a limit above 10,000", () => topK(orders.amount, 5, { limit: 10_001 }), "10,000"],
    ["the most frequent lists", () => topK(any(orders.tags), 2), "not list"],
    ["no boundary", () => histogram(orders.amount, any([])), "boundaries"],
    ["boundaries that do not ascend", () => histogram(orders.amount, [1, 1]), "larger than the one before"],
    ["a boundary that is not finite", () => histogram(orders.amount, [0, Number.POSITIVE_INFINITY]), "finite"],
    ["a histogram of timestamps", () => histogram(any(orders.at), [0]), "derive a number"],
    [
      "a histogram without a window",
      () => featureView("bad", { source: orders, entity: shop, features: any({ h: histogram(orders.amount, [1]) }) }),
      "needs a window",
    ],
    [
      "the first of a window with a ttl",
      () =>
        featureView("bad", {
          source: orders,
          entity: shop,
          features: { f: any(first(orders.amount).ttl("2h")).over("1h") },
        }),
      "a window and a ttl",
    ],
  ])("refuses %s and says what is right", (_, declare, part) => {
    expect(declare).toThrow(
      expect.objectContaining({ code: "DEFINITION_INVALID", message: expect.stringContaining(part) }),
    );
  });

  test("holds its parameters as plain data", () => {
    const view = featureView("shops", {
      source: orders,
      entity: shop,
      features: {
        amount: quantile(orders.amount, 0.95).over(["1h", "24h"]),
        spread: quantiles(orders.cents, [0.1, 0.9]).over("1h"),
        top: topK(orders.amount, 3).over("1h"),
        sizes: histogram(orders.cents, [-0, 10]).over("1h"),
        opened: first(orders.at),
      },
    });
    const specs = Object.fromEntries(view[Meta].features.map((f) => [f.name, f.aggregate.aggregation]));
    expect(specs).toMatchObject({
      amount_1h: { name: "quantile", probabilities: [0.95] },
      amount_24h: { name: "quantile", probabilities: [0.95] },
      spread: { name: "quantiles", probabilities: [0.1, 0.9] },
      top: { name: "top_k", n: 3, limit: 1_000 },
      sizes: { name: "histogram", boundaries: [0, 10] },
      opened: { name: "first" },
    });
  });
});
