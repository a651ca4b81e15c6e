import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Expression } from "../../../src/definitions/expression.ts";
import {
  count,
  countDistinct,
  entity,
  featureView,
  first,
  histogram,
  httpPush,
  lastN,
  latest,
  max,
  mean,
  min,
  quantile,
  quantiles,
  stddev,
  streamSource,
  sum,
  t,
  topK,
  variance,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import type { Value } from "../../../src/definitions/value.ts";
import {
  createEntityState,
  decodeEntityState,
  encodeEntityState,
} from "../../../src/feature_engineering/windows/entity-state.ts";
import {
  createEvaluatedEvent,
  evaluateEvent,
  foldEvent,
  pruneState,
} from "../../../src/feature_engineering/windows/fold-event.ts";
import { type NaiveEvent, naiveFeatures } from "../../../src/feature_engineering/windows/naive-window.ts";
import {
  createFeatureReader,
  createViewReading,
  readFeatures,
} from "../../../src/feature_engineering/windows/read-features.ts";
import { readingSpan } from "../../../src/feature_engineering/windows/reading-span.ts";
import { compileViewLayout, type RowEvaluator } from "../../../src/feature_engineering/windows/view-layout.ts";

const events = streamSource("events", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  futureBound: "1m",
  schema: {
    id: t.string(),
    x: t.float64().nullable(),
    n: t.int64().nullable(),
    color: t.oneOf("red", "green").nullable(),
    flag: t.bool().nullable(),
    at: t.timestamp(),
  },
});
const thing = entity("thing", { id: t.string() });
const view = featureView("view", {
  source: events,
  entity: thing,
  features: {
    n: count().over(["12s", "1m", "10m", "1h"]),
    flagged: count().where(events.flag).over(["1m", "1h"]),
    x_sum: sum(events.x).over(["12s", "1h"]),
    x_mean: mean(events.x).over("10m"),
    x_var: variance(events.x).over("10m"),
    x_sd_flagged: stddev(events.x).where(events.flag).over("10m"),
    n_sum: sum(events.n).over("1h"),
    n_min: min(events.n).over("1h").default(7n),
    x_max: max(events.x).over("1m"),
    colors: countDistinct(events.color).over("1h"),
    color: latest(events.color),
    fresh_x: latest(events.x).ttl("2m"),
    flagged_x: latest(events.x).where(events.flag).ttl("10m"),
    last_x: lastN(events.x, 3),
    last_hour_x: latest(events.x).over("1h"),
    x_median: quantile(events.x, 0.5).over(["12s", "1h"]),
    x_spread: quantiles(events.x, [0.1, 0.9]).where(events.flag).over("1h").default([0, 0]),
    n_p95: quantile(events.n, 0.95).over("10m"),
    top_x: topK(events.x, 2, { limit: 6 }).over(["10m", "1h"]),
    top_color: topK(events.color, 1).over("1h"),
    x_histogram: histogram(events.x, [-1, 0, 2.5]).over("1h"),
    first_x: first(events.x),
    first_color: first(events.color).where(events.flag).ttl("5m"),
    first_hour_n: first(events.n).over("1h"),
    last_fresh_x: lastN(events.x, 2).ttl("3m"),
  },
})[Meta];
const windowsOnly = featureView("windows_only", {
  source: events,
  entity: thing,
  features: { n: count().over("1m"), fresh: latest(events.color).ttl("1m") },
})[Meta];

const compile = (expression: Expression): RowEvaluator => {
  const index = events[Meta].columns.findIndex((c) => expression.op === "column" && c.name === expression.column);
  return (row) => row[index] as Value;
};

const event = fc
  .record({
    eventTime: fc.oneof(
      fc.integer({ min: -200, max: 4_000 }).map((s) => s * 1_000),
      fc.integer({ min: 0, max: 4_000_000 }),
    ),
    version: fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 3 })),
    ingestedAt: fc.integer({ min: 0, max: 5_000_000 }),
    hash: fc.tuple(fc.nat(3), fc.nat(3), fc.nat(), fc.nat()),
    x: fc.oneof(
      fc.constant(null),
      fc.integer({ min: -500, max: 500 }).map((c) => c / 100 + 0),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((v) => v + 0),
    ),
    n: fc.oneof(fc.constant(null), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
    color: fc.constantFrom(null, "red", "green"),
    flag: fc.constantFrom(null, true, false),
  })
  .map(
    ({ hash, x, n, color, flag, ...order }): NaiveEvent => ({
      ...order,
      hash0: hash[0],
      hash1: hash[1],
      hash2: hash[2],
      hash3: hash[3],
      row: ["e", x, n, color, flag, order.eventTime],
    }),
  );

/** With the byte 913,113,498 of their state damaged by 2, the largest value of a sketch reads as a bigint. */
const LARGEST_MADE_BIGINT: NaiveEvent[] = (
  [
    [null, 8_192, null, null, "green", true, 3_300_000],
    [0, 1_048_576, 0.01, null, "green", null, 2_100_000],
    [0, 1_048_576, 5e-324, -(2n ** 56n), "red", null, 2_228_000],
    [0, 1_048_576, null, -(2n ** 56n), "green", null, 1_500_000],
  ] as const
).map(([version, ingestedAt, x, n, color, flag, eventTime]) => ({
  eventTime,
  version,
  ingestedAt,
  hash0: 0,
  hash1: 0,
  hash2: 0,
  hash3: 0,
  row: ["e", x, n, color, flag, eventTime],
}));

describe.each([view, windowsOnly])("a tiled window of $name", (meta) => {
  const layout = compileViewLayout(meta, compile);
  const fold = (list: readonly NaiveEvent[], cuts: ReadonlySet<number>, clockAt: (index: number) => number) => {
    let state = createEntityState(layout);
    const evaluated = createEvaluatedEvent(layout);
    for (const [index, e] of list.entries()) {
      evaluateEvent(layout, e.row, evaluated);
      foldEvent(layout, state, e, evaluated, clockAt(index));
      if (cuts.has(index)) {
        pruneState(layout, state, clockAt(index));
        state = decodeEntityState(layout, encodeEntityState(layout, state));
      }
    }
    return state;
  };

  it("equals the naive window for any events, in any order, with any number of restarts between them", () => {
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 40 }),
        fc.array(fc.nat(40)),
        fc.integer({ min: 0, max: 4_500_000 }),
        fc.nat(2 ** 31 - 1),
        (all, cuts, time, mask) => {
          const past = all.filter((e) => e.eventTime < time);
          const state = past.length === 0 ? null : fold(past, new Set(cuts), () => Number.NEGATIVE_INFINITY);
          const reading = createViewReading(layout);
          readFeatures(layout, state, time, reading);
          expect({ values: reading.values, statuses: reading.statuses }).toEqual(
            naiveFeatures(meta, compile, all, time),
          );
          expect(reading.headOverlap || reading.tooOld).toBe(false);
          if (state === null) return;
          const bytes = encodeEntityState(layout, state);
          const packed = createViewReading(layout);
          createFeatureReader(layout).fromBytes(bytes, time, packed);
          expect(packed).toEqual(reading);
          const some = layout.features.map((_, index) => index).filter((index) => (mask >> (index % 31)) % 2 === 1);
          const part = createViewReading(layout);
          const reader = createFeatureReader(layout, some);
          for (const read of [() => reader.fromBytes(bytes, time, part), () => reader.fromState(state, time, part)]) {
            read();
            for (const index of some) {
              expect([part.values[index], part.statuses[index]]).toEqual([
                reading.values[index],
                reading.statuses[index],
              ]);
            }
            expect(part.found).toBe(reading.found);
            part.values.fill("untouched");
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("stays equal while tiles behind the clock are dropped, and says so when one was needed", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.integer({ min: -100_000, max: 2_000_000 }), (all, ahead) => {
        const list = all;
        const clocks: number[] = [];
        for (const e of list) clocks.push(Math.max(clocks.at(-1) ?? Number.NEGATIVE_INFINITY, e.eventTime));
        const end = (clocks.at(-1) ?? 0) + 1;
        const time = end + ahead;
        const state = list.length === 0 ? null : fold(list, new Set(list.keys()), (i) => clocks[i]!);
        const reading = createViewReading(layout);
        readFeatures(layout, state, time, reading);
        if (state !== null) {
          const packed = createViewReading(layout);
          createFeatureReader(layout).fromBytes(encodeEntityState(layout, state), time, packed);
          expect(packed).toEqual(reading);
        }
        const exact = !reading.headOverlap && !reading.tooOld;
        if (ahead >= -60_000) expect(reading.tooOld).toBe(false);
        if (ahead >= 0) expect(exact).toBe(true);
        if (exact) {
          expect({ values: reading.values, statuses: reading.statuses }).toEqual(
            naiveFeatures(meta, compile, all, time),
          );
        }
      }),
      { numRuns: 500 },
    );
  });

  it("reads the same at any moment of the span that is told for a reading", () => {
    let within = 0;
    fc.assert(
      fc.property(
        fc.array(event, { minLength: 1, maxLength: 10 }),
        fc.integer({ min: 0, max: 4_500_000 }),
        fc.array(fc.oneof(fc.integer({ min: -3_000, max: 3_000 }), fc.integer({ min: -600_000, max: 600_000 }))),
        (all, time, steps) => {
          const state = fold(all, new Set(), () => Number.NEGATIVE_INFINITY);
          const read = (at: number): unknown => {
            const reading = createViewReading(layout);
            readFeatures(layout, state, at, reading);
            return reading;
          };
          const { after, until } = readingSpan(layout, state, time);
          expect(after < time && time <= until).toBe(true);
          const moments = [...steps.map((step) => time + step), after + 1, until];
          for (const at of moments.filter((one) => Number.isFinite(one) && after < one && one <= until)) {
            within++;
            expect(read(at)).toEqual(read(time));
          }
        },
      ),
      { numRuns: 500 },
    );
    expect(within).toBeGreaterThan(500);
  });

  it("refuses a value that was cut or damaged, or reads it, and does nothing else", () => {
    const refused = new Set(["MALFORMED_BYTES", "VALUE_CORRUPT"]);
    const reader = createFeatureReader(layout);
    const reading = createViewReading(layout);
    const attempt = (read: () => void): string => {
      try {
        read();
        return "read";
      } catch (error) {
        return refused.has((error as { code: string }).code) ? "refused" : String(error);
      }
    };
    fc.assert(
      fc.property(
        fc.array(event, { minLength: 1, maxLength: 12 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (all, at, flip) => {
          const bytes = encodeEntityState(
            layout,
            fold(all, new Set(), () => Number.NEGATIVE_INFINITY),
          );
          const cut = bytes.slice(0, at % bytes.length);
          expect(attempt(() => decodeEntityState(layout, cut))).toBe("refused");
          expect(attempt(() => reader.fromBytes(cut, 4_000_000, reading))).toBe("refused");
          const damaged = bytes.slice();
          damaged[at % bytes.length]! ^= flip;
          expect(["read", "refused"]).toContain(attempt(() => reader.fromBytes(damaged, 4_000_000, reading)));
        },
      ),
      { numRuns: 300, examples: [[LARGEST_MADE_BIGINT, 913_113_498, 2]] },
    );
  });

  it("encodes equal sets of events to equal bytes", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 20 }), fc.array(fc.nat(20)), (all, cuts) => {
        const forward = encodeEntityState(
          layout,
          fold(all, new Set(cuts), () => Number.NEGATIVE_INFINITY),
        );
        const backward = encodeEntityState(
          layout,
          fold(all.toReversed(), new Set(), () => Number.NEGATIVE_INFINITY),
        );
        expect(forward).toEqual(backward);
      }),
      { numRuns: 300 },
    );
  });
});
