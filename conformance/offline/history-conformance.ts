import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LoggedEvent } from "../../src/feature_engineering/engine/event-log.ts";
import type { HistoryQuery, SourceTable } from "../../src/feature_store/offline/offline-store.ts";
import { all, commit, logged, nullable, type OpenWith, payment, payments, query } from "./offline-store-fixtures.ts";

/** Grouped by key, ordered by the moment of knowledge. */
export function historyTests(openWith: OpenWith): void {
  describe("history", () => {
    const trips: SourceTable = {
      source: "trips",
      columns: [
        { name: "city", type: nullable("string") },
        { name: "driver", type: nullable("int64") },
        { name: "fare", type: nullable("float64") },
      ],
      hasId: false,
    };
    const city = fc.constantFrom("aa", "bb", "a city with a long name", null);
    const driver = fc.constantFrom(1n, 2n, -(2n ** 63n), null);
    const trip = fc.record({
      partition: fc.constantFrom(0, 1),
      city,
      driver,
      eventTime: fc.integer({ min: -20, max: 20 }),
      delay: fc.integer({ min: -5, max: 40 }),
    });
    const bound = fc.option(fc.integer({ min: -25, max: 25 }), { freq: 2 });

    test("is grouped by key and ordered by the moment of knowledge, as a naive model is", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(trip, { maxLength: 60 }),
          fc.subarray(["city", "driver"], { minLength: 1 }),
          fc.option(fc.array(fc.tuple(city, driver), { maxLength: 6 }), { freq: 2 }),
          bound,
          bound,
          fc.constantFrom("event_time" as const, "ingested_at" as const),
          async (made, keyColumns, pairs, from, before, knowledge) => {
            const store = await openWith(trips);
            const owned = [await store.own("trips", "0"), await store.own("trips", "1")];
            const events = made.map(({ partition, city, driver, eventTime, delay }, offset) =>
              logged(trips, owned[partition]!, offset, { eventTime, ingestedAt: eventTime + delay }, [
                city,
                driver,
                offset,
              ]),
            );
            for (const partition of owned) {
              const own = events.filter((event) => event.partitionId === partition.partitionId);
              await commit(store, partition, own, events.length);
            }
            const indexes = keyColumns.map((name) => (name === "city" ? 0 : 1));
            const keys =
              pairs
                ?.map((pair) => indexes.map((index) => pair[index]!))
                .filter((key) => !key.includes(null as never)) ?? null;
            const asked: HistoryQuery = { source: "trips", keyColumns, keys, from, before, knowledge };

            const keyOf = (event: LoggedEvent): string => String(indexes.map((index) => event.row[index]));
            const moment = (event: LoggedEvent): number =>
              knowledge === "event_time" ? event.eventTime + 1 : Math.max(event.eventTime + 1, event.ingestedAt);
            const expected = new Map<string, LoggedEvent[]>();
            for (const event of [...events].sort(
              (a, b) => moment(a) - moment(b) || a.partitionId - b.partitionId || a.offset - b.offset,
            )) {
              if (indexes.some((index) => event.row[index] === null)) continue;
              if (keys !== null && !keys.some((key) => String(key) === keyOf(event))) continue;
              if (from !== null && event.eventTime < from) continue;
              if (before !== null && event.eventTime >= before) continue;
              expected.set(keyOf(event), [...(expected.get(keyOf(event)) ?? []), event]);
            }

            const found = await all(store.history(asked));
            const groups = new Map<string, LoggedEvent[]>();
            let current = "";
            for (const event of found) {
              const key = keyOf(event);
              if (key !== current) expect(groups.has(key)).toBe(false);
              current = key;
              groups.set(key, [...(groups.get(key) ?? []), event]);
            }
            expect(groups).toEqual(expected);
          },
        ),
        { numRuns: 40 },
      );
    });

    test("finds the events of a hundred thousand keys", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const events = Array.from({ length: 3_000 }, (_, offset) =>
        payment(owned, offset, { user: `user-${offset % 1_500}` }),
      );
      await commit(store, owned, events, 2_999);
      const keys = Array.from({ length: 100_000 }, (_, index) => [`user-${index + 1_000}`]);
      const found = await all(store.history({ ...query("payments"), keys }));
      expect(found.length).toBe(1_000);
      expect(new Set(found.map((event) => event.row[0])).size).toBe(500);
      expect(await all(store.history({ ...query("payments"), keys: [] }))).toEqual([]);
    });
  });
}
