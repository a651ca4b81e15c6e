import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Value } from "../../src/definitions/value.ts";
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

    test("lists each key once, in an order in which a later call goes on where an earlier one was left", async () => {
      const table: SourceTable = {
        source: "keyed",
        columns: [
          { name: "name", type: nullable("string") },
          { name: "number", type: nullable("int64") },
        ],
        hasId: false,
      };
      const store = await openWith(table);
      const owned = await store.own("keyed", "0");
      const keys: [string | null, bigint | null][] = [];
      for (const name of ["", "a", "it's", "B", "ä", "\u{1F600}", null]) {
        for (const number of [-9_007_199_254_740_993n, 0n, 5n, 10n, null]) keys.push([name, number], [name, number]);
      }
      await commit(
        store,
        owned,
        keys.map((row, offset) => logged(table, owned, offset, {}, row)),
        keys.length - 1,
      );
      const list = async (after: readonly Value[] | null, keyColumns = ["name", "number"]): Promise<Value[][]> => {
        const found: Value[][] = [];
        const batches = store.entityKeys({ source: "keyed", keyColumns, after });
        for await (const batch of batches) found.push(...batch.map((key) => [...key]));
        return found;
      };
      const whole = keys.filter(([name, number], index) => name !== null && number !== null && index % 2 === 0);
      const listed = await list(null);
      const shown = (all: readonly (readonly Value[])[]): string[] => all.map(String).sort();
      expect(shown(listed)).toEqual(shown(whole));
      for (const [index, key] of listed.entries()) expect(await list(key)).toEqual(listed.slice(index + 1));
      expect((await list(null, ["number"])).length).toBe(4);
      expect((await list([0n], ["number"])).length).toBeLessThan(4);
    });

    test("lists the keys of more entities than a batch holds", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const events = Array.from({ length: 10_000 }, (_, i) => payment(owned, i, { user: `u${i % 5_000}` }));
      await commit(store, owned, events, events.length - 1);
      const found: Value[] = [];
      for await (const batch of store.entityKeys({ source: "payments", keyColumns: ["user_id"], after: null })) {
        found.push(...batch.map(([user]) => user!));
      }
      expect(found.length).toBe(5_000);
      expect(new Set(found).size).toBe(5_000);
    });
  });
}
