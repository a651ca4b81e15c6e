import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { count, entity, featureView, latest, memory, streamSource, sum, t } from "../../src/definitions/index.ts";
import { Meta } from "../../src/definitions/meta.ts";
import { createEntityState, encodeEntityState } from "../../src/feature_engineering/windows/entity-state.ts";
import { createEvaluatedEvent, evaluateEvent, foldEvent } from "../../src/feature_engineering/windows/fold-event.ts";
import { createFeatureReader, createViewReading } from "../../src/feature_engineering/windows/read-features.ts";
import { createCachedReader, createReadingBudget } from "../../src/feature_store/cached-reader.ts";
import { createViewRuntime } from "../../src/feature_store/view-runtime.ts";

const events = streamSource("events", {
  stream: memory(),
  eventTime: "at",
  lateness: "1s",
  schema: { id: t.string(), x: t.float64(), at: t.timestamp() },
});
const view = featureView("view", {
  source: events,
  entity: entity("thing", { id: t.string() }),
  features: { n: count().over(["12s", "1m"]), x: sum(events.x).over("10m"), fresh: latest(events.x).ttl("30s") },
});
const { layout } = createViewRuntime(view[Meta]);
const wanted = [0, 1, 2, 3];

/** Values of one entity that grows event by event, and reads at moments, in turns. */
const steps = fc.array(
  fc.oneof(
    fc.record({ at: fc.integer({ min: 0, max: 125_000 }), x: fc.integer({ min: 0, max: 9 }) }),
    fc
      .record({
        around: fc.integer({ min: 0, max: 130_000 }),
        apart: fc.array(fc.integer({ min: -300, max: 300 }), { minLength: 1, maxLength: 5 }),
      })
      .map(({ around, apart }) => ({ read: apart.map((ms) => around + ms), apart })),
  ),
  { maxLength: 40 },
);

describe("a cached reader", () => {
  it("reads what an uncached one does, whatever was read and written before", () => {
    let again = 0;
    fc.assert(
      fc.property(steps, (list) => {
        const plain = createFeatureReader(layout, wanted);
        const cached = createCachedReader(layout, wanted, createReadingBudget());
        const state = createEntityState(layout);
        const evaluated = createEvaluatedEvent(layout);
        let revision = 0;
        for (const step of list) {
          if ("at" in step) {
            const row = ["e", step.x, step.at];
            evaluateEvent(layout, row, evaluated);
            const order = { version: null, ingestedAt: 0, hash0: 0, hash1: 0, hash2: 0, hash3: revision };
            foldEvent(layout, state, { eventTime: step.at, ...order }, evaluated, Number.NEGATIVE_INFINITY);
            revision++;
            continue;
          }
          const value = { revision, bytes: encodeEntityState(layout, state) };
          // Around the newest event, too.
          const newest = Math.max(0, state.maxEventTime);
          const times = [...step.read, ...step.apart.map((ms) => newest + ms)];
          for (const time of [...times, ...times]) {
            const fresh = createViewReading(layout);
            plain.fromBytes(value.bytes, time, fresh);
            const first = cached.read(new Uint8Array([1]), value, time);
            const { made: _made, isKept: _isKept, ...reading } = first;
            expect(reading).toEqual(fresh);
            if (cached.read(new Uint8Array([1]), value, time) === first) again++;
          }
        }
      }),
      { numRuns: 300 },
    );
    expect(again).toBeGreaterThan(100);
  });

  it("forgets everything when all readers together remember too much", () => {
    const budget = createReadingBudget();
    const cached = createCachedReader(layout, wanted, budget);
    const value = { revision: 1, bytes: encodeEntityState(layout, createEntityState(layout)) };
    const read = (key: number) => cached.read(new Uint8Array([key]), value, 1_000);
    read(1);
    const kept = read(1);
    expect(read(1)).toBe(kept);
    budget.left = 0;
    read(2);
    expect(read(1)).not.toBe(kept);
  });
});
