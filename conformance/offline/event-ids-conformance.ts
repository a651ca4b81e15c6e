import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LoggedEvent, OwnedPartition } from "../../src/feature_engineering/engine/event-log.ts";
import { accepted, all, commit, logged, type OpenWith, orders, query } from "./offline-store-fixtures.ts";

/** Events of equal id and event time are one event. */
export function eventIdTests(openWith: OpenWith): void {
  describe("event ids", () => {
    test("keep an event once, also within a commit and over partitions", async () => {
      const store = await openWith(orders);
      const one = await store.own("orders", "0");
      const two = await store.own("orders", "1");
      const order = (owned: OwnedPartition, offset: number, id: string | null): LoggedEvent =>
        logged(orders, owned, offset, { id, eventTime: 1_000 }, ["ann", 5]);
      expect(await commit(store, one, [order(one, 0, "a"), order(one, 1, "a"), order(one, 2, "b")], 2)).toEqual({
        inserted: [order(one, 0, "a"), order(one, 2, "b")],
        duplicates: 1,
        conflicts: 0,
      });
      expect(await commit(store, two, [order(two, 0, "b"), order(two, 1, "c")], 1)).toEqual({
        inserted: [order(two, 1, "c")],
        duplicates: 1,
        conflicts: 0,
      });
      expect(await commit(store, one, [order(one, 3, null), order(one, 4, null)], 4)).toEqual(
        accepted([order(one, 3, null), order(one, 4, null)]),
      );
      expect((await all(store.history(query("orders")))).length).toBe(5);
      expect(await store.deadLetters({ limit: 9 })).toEqual([]);
    });

    test("belong to their event time: the same id at another time is another event", async () => {
      const store = await openWith(orders);
      const owned = await store.own("orders", "0");
      const events = [1_000, 2_000, 1_000].map((eventTime, offset) =>
        logged(orders, owned, offset, { id: "a", eventTime }, ["ann", 5]),
      );
      expect(await commit(store, owned, events, 2)).toEqual({
        inserted: events.slice(0, 2),
        duplicates: 1,
        conflicts: 0,
      });
    });

    test("with another payload become a dead letter, `ID_CONFLICT`, with the row in JSON", async () => {
      const store = await openWith(orders);
      const owned = await store.own("orders", "0");
      const order = (offset: number, id: string, amount: number | null): LoggedEvent =>
        logged(orders, owned, offset, { id, eventTime: 1_000 }, ["ann", amount]);
      await commit(store, owned, [order(0, "a", 1)], 0);
      const result = await commit(
        store,
        owned,
        [order(1, "a", 2), order(2, "b", 1), order(3, "b", null), order(4, "a", 1)],
        4,
      );
      expect(result).toEqual({ inserted: [order(2, "b", 1)], duplicates: 1, conflicts: 2 });
      const letters = await store.deadLetters({ source: "orders", limit: 9 });
      expect(letters.map(({ code, source, partition, offset }) => ({ code, source, partition, offset }))).toEqual([
        { code: "ID_CONFLICT", source: "orders", partition: "0", offset: 3 },
        { code: "ID_CONFLICT", source: "orders", partition: "0", offset: 1 },
      ]);
      const rows = letters.map((letter) => JSON.parse(new TextDecoder().decode(letter.bytes)));
      expect(rows).toEqual([{ user_id: "ann" }, { user_id: "ann", amount: 2 }]);
    });

    test("are known among thousands, whatever is asked of them", async () => {
      const id = fc.oneof(fc.integer({ min: 0, max: 30 }).map(String), fc.string({ unit: "grapheme", maxLength: 40 }));
      const event = fc.record({ id, time: fc.constantFrom(0, 1, 86_400_000, -5), amount: fc.constantFrom(1, 2) });
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(event, { maxLength: 30 }), { maxLength: 5 }), async (batches) => {
          const store = await openWith(orders);
          const owned = await store.own("orders", "0");
          const model = new Map<string, number>();
          let offset = 0;
          for (const batch of batches) {
            const inserted: LoggedEvent[] = [];
            let duplicates = 0;
            let conflicts = 0;
            const events = batch.map(({ id, time, amount }) => {
              const made = logged(orders, owned, offset++, { id, eventTime: time }, ["ann", amount]);
              const known = model.get(`${time}:${id}`);
              if (known === undefined) {
                model.set(`${time}:${id}`, amount);
                inserted.push(made);
              } else if (known === amount) duplicates++;
              else conflicts++;
              return made;
            });
            expect(await commit(store, owned, events, offset)).toEqual({ inserted, duplicates, conflicts });
            offset++;
          }
          expect((await all(store.history(query("orders")))).length).toBe(model.size);
        }),
        { numRuns: 15 },
      );
    });
  });
}
