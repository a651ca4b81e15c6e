import { describe, expect, test } from "vitest";
import { all, commit, logged, type OpenWith, orders, query } from "./offline-store-fixtures.ts";

const DAY = 86_400_000;
const START = Date.UTC(2024, 0, 1);

/** Dropping old history, where the store can. */
export function retentionTests(openWith: OpenWith): void {
  describe("dropped history", () => {
    test("is gone up to a moment that is told, and readers of it are refused", async ({ skip }) => {
      const store = await openWith(orders);
      if (store.dropHistory === undefined) skip();
      const owned = await store.own("orders", "0");
      const events = Array.from({ length: 200 }, (_, day) =>
        logged(orders, owned, day, { id: `order-${day}`, eventTime: START + day * DAY }, ["ann", day]),
      );
      await commit(store, owned, events, 199);
      expect((await all(store.history(query("orders")))).length).toBe(200);

      const before = START + 100 * DAY;
      const from = await store.dropHistory!("orders", before);
      expect(from).toBeLessThanOrEqual(before);
      // Whole tables only: at most a month less than asked for.
      expect(from).toBeGreaterThan(before - 32 * DAY);
      const kept = events.filter((event) => event.eventTime >= from);
      expect(await all(store.history({ ...query("orders"), from }))).toEqual(kept);
      const dropped = expect.objectContaining({ code: "HISTORY_DROPPED", kind: "user" });
      await expect(all(store.history(query("orders")))).rejects.toEqual(dropped);
      await expect(all(store.history({ ...query("orders"), from: from - 1 }))).rejects.toEqual(dropped);
      await expect(all(store.history({ ...query("orders"), from: null, before: from }))).rejects.toEqual(dropped);
      expect(await all(store.read("orders", owned.partitionId, -1, 999))).toEqual(kept);
      expect((await store.partitions("orders"))[0]!.committed).toBe(199);

      // It never goes back, and what is older than it may still come.
      expect(await store.dropHistory!("orders", START)).toBe(from);
      const late = logged(orders, owned, 200, { id: "late", eventTime: START }, ["ann", 1]);
      expect((await commit(store, owned, [late], 200)).inserted).toEqual([late]);
      expect(await all(store.history({ ...query("orders"), from }))).toEqual(kept);
      expect(await store.dropHistory!("orders", before)).toBe(from);
      expect((await all(store.read("orders", owned.partitionId, 199, 999))).length).toBe(0);
    });
  });
}
