import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Meta } from "../../../src/definitions/meta.ts";
import type { Value } from "../../../src/definitions/value.ts";
import type { EventOrder } from "../../../src/feature_engineering/aggregations/aggregation.ts";
import { createBoxedTable } from "../../../src/feature_engineering/engine/boxed-table.ts";
import { createFlatTable } from "../../../src/feature_engineering/engine/flat-table.ts";
import { createEvaluatedEvent, evaluateEvent } from "../../../src/feature_engineering/windows/fold-event.ts";
import { createViewRuntime } from "../../../src/feature_store/view-runtime.ts";
import {
  count,
  entity,
  featureView,
  latest,
  max,
  mean,
  memory,
  min,
  stddev,
  streamSource,
  sum,
  t,
} from "../../../src/index.ts";

const payments = streamSource("payments", {
  stream: memory(),
  clock: "stream",
  eventTime: "at",
  lateness: "1m",
  futureBound: "1m",
  schema: { card: t.string(), amount: t.float64().nullable(), large: t.bool(), at: t.timestamp() },
});
const card = entity("card", { card: t.string() });
const { amount } = payments;
const view = featureView("cards", {
  source: payments,
  entity: card,
  features: {
    n: count().over(["12s", "1m", "10m"]),
    n_large: count().where(payments.large).over("1m"),
    spend: sum(amount).over(["1m", "10m"]),
    typical: mean(amount).over("10m"),
    spread: stddev(amount).over("12s"),
    spend_large: sum(amount).where(payments.large).over("12s"),
    most: max(amount).over(["1m", "10m"]),
    least: min(amount).over("12s"),
    first_seen: min(payments.at).over("10m"),
  },
});
const { layout } = createViewRuntime(view[Meta]);

/** Sums of all magnitudes: with rests, with terms kept as bigints, with cancellation. */
const anyAmount = fc.oneof(
  fc.constant(null),
  fc.integer({ min: -1_000, max: 1_000 }).map((cents) => cents / 100 + 0),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0),
  fc.constantFrom(2 ** 970, -(2 ** 970), 2 ** 500, 2 ** 901, 1e16, 1, -1e16, 2 ** -1_060, 5e-324),
);
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ what: fc.constant("fold" as const), amount: anyAmount, large: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constantFrom("encode" as const, "reload" as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constantFrom("release" as const) }) },
);

function orderAt(eventTime: number): EventOrder {
  return { eventTime, version: null, ingestedAt: 0, hash0: 0, hash1: 0, hash2: 0, hash3: 0 };
}

describe("the flat table", () => {
  it("has the same bytes as objects after any events, late ones and expiring tiles among them", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(step, fc.nat(3), fc.integer({ min: -90, max: 30 }), fc.nat(40)), { maxLength: 120 }),
        fc.constantFrom(Number.NEGATIVE_INFINITY, 0, 300_000),
        (steps, completeFrom) => {
          const flat = createFlatTable(layout)!;
          const boxed = createBoxedTable(layout);
          const evaluated = createEvaluatedEvent(layout);
          for (const table of [flat, boxed]) for (let row = 0; row < 4; row++) table.load(row, null, completeFrom);
          let clock = 1_000_000;
          for (const [action, row, behind, moved] of steps) {
            if (action.what === "fold") {
              clock += moved * 500;
              const at = clock + behind * 1_000;
              const event: Value[] = ["a", action.amount, action.large, at];
              evaluateEvent(layout, event, evaluated);
              const order = orderAt(at);
              for (const table of [flat, boxed]) table.fold(row, order, evaluated, clock);
              expect(flat.maxEventTime(row)).toBe(boxed.maxEventTime(row));
            } else if (action.what === "release") {
              for (const table of [flat, boxed]) {
                table.release(row);
                table.load(row, null, completeFrom);
              }
            } else {
              const rows = [0, 1, 2, 3];
              const positions = (of: number): [number, number][] => [[of, 7]];
              const expected = boxed.encode(rows, clock, positions).map((bytes) => Uint8Array.from(bytes));
              const found = flat.encode(rows, clock, positions).map((bytes) => Uint8Array.from(bytes));
              expect(found).toEqual(expected);
              if (action.what === "reload") for (const of of rows) flat.load(of, expected[of]!, 0);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("is not there for a view with an aggregation that does not fit doubles", () => {
    const other = featureView("others", { source: payments, entity: card, features: { last: latest(amount) } });
    expect(createFlatTable(createViewRuntime(other[Meta]).layout)).toBeNull();
  });

  it("keeps many rows apart, also after some were given back", () => {
    const table = createFlatTable(layout)!;
    const evaluated = createEvaluatedEvent(layout);
    const fold = (row: number, second: number, value: number): void => {
      evaluateEvent(layout, ["a", value, false, second * 1_000], evaluated);
      const order = orderAt(second * 1_000);
      table.fold(row, order, evaluated, second * 1_000 + 1);
    };
    for (let row = 0; row < 3_000; row++) table.load(row, null, 0);
    for (let second = 1; second < 12; second++) for (let row = 0; row < 3_000; row++) fold(row, second, row + second);
    for (let row = 0; row < 3_000; row += 2) table.release(row);
    for (let row = 0; row < 3_000; row += 2) table.load(row, null, 0);
    for (let second = 12; second < 30; second++) for (let row = 0; row < 3_000; row += 2) fold(row, second, 1);
    const none = (): [] => [];
    const [old] = table.encode([2_001], 12_000, none).map((bytes) => Uint8Array.from(bytes));
    const alone = createBoxedTable(layout);
    alone.load(0, null, 0);
    for (let second = 1; second < 12; second++) {
      evaluateEvent(layout, ["a", 2_001 + second, false, second * 1_000], evaluated);
      const order = orderAt(second * 1_000);
      alone.fold(0, order, evaluated, second * 1_000 + 1);
    }
    expect(old).toEqual(Uint8Array.from(alone.encode([0], 12_000, none)[0]!));
  });
});
