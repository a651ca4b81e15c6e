import { describe, expect, test } from "vitest";
import type { OwnedPartition } from "../../src/feature_engineering/engine/event-log.ts";
import {
  accepted,
  all,
  commit,
  deadLetter,
  type OpenWith,
  orders,
  payment,
  payments,
  query,
} from "./offline-store-fixtures.ts";

/** Partitions, commits, readings. */
export function logTests(openWith: OpenWith): void {
  describe("the log", () => {
    test("knows no source that was not prepared", async () => {
      const store = await openWith(payments);
      const unknown = expect.objectContaining({ code: "SOURCE_UNKNOWN" });
      await expect(store.own("nobody", "0")).rejects.toEqual(unknown);
      await expect(all(store.read("nobody", 1, -1, 5))).rejects.toEqual(unknown);
      await expect(all(store.history(query("nobody")))).rejects.toEqual(unknown);
      expect(await store.partitions("nobody")).toEqual([]);
    });

    test("gives each partition a small number of its own and starts before offset 0", async () => {
      const store = await openWith(payments, orders);
      const first = await store.own("payments", "0");
      const second = await store.own("payments", "naïve 'partition'");
      const third = await store.own("orders", "0");
      expect([first, second, third].map((p) => p.committed)).toEqual([-1, -1, -1]);
      expect(new Set([first, second, third].map((p) => p.partitionId)).size).toBe(3);
      expect(await store.partitions("payments")).toEqual([first, second]);
      expect(await store.partitions("orders")).toEqual([third]);
    });

    test("gives back what was committed, in offset order, within the bounds", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const other = await store.own("payments", "1");
      const events = [3, 4, 7, 20].map((offset) => payment(owned, offset, { amount: offset / 3 }));
      const foreign = [payment(other, 5)];
      expect(await commit(store, owned, events.slice(0, 2), 5)).toEqual(accepted(events.slice(0, 2)));
      expect(await commit(store, other, foreign, 5)).toEqual(accepted(foreign));
      expect(await commit(store, owned, events.slice(2), 20)).toEqual(accepted(events.slice(2)));
      expect(await all(store.read("payments", owned.partitionId, -1, 100))).toEqual(events);
      expect(await all(store.read("payments", owned.partitionId, 3, 7))).toEqual(events.slice(1, 3));
      expect(await all(store.read("payments", owned.partitionId, 20, 100))).toEqual([]);
      expect(await all(store.read("payments", other.partitionId, -1, 100))).toEqual(foreign);
      expect((await store.partitions("payments")).map((p) => p.committed)).toEqual([20, 5]);
    });

    test("keeps the transport's own position with the offset that it came with", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "shard-1");
      expect(owned.cursor).toBeNull();
      const move = (partition: OwnedPartition, lastOffset: number, cursor?: string): Promise<unknown> =>
        store.commit({
          partition,
          events: [],
          deadLetters: [],
          lastOffset,
          ...(cursor === undefined ? {} : { cursor }),
        });
      await move(owned, 3, "4959's 'sequence'");
      await move(owned, 2, "an older one");
      expect((await store.partitions("payments"))[0]).toMatchObject({ committed: 3, cursor: "4959's 'sequence'" });
      await move(owned, 5);
      const later = await store.own("payments", "shard-1");
      expect(later).toMatchObject({ committed: 5, cursor: "4959's 'sequence'" });
      await expect(move(owned, 6, "of a fenced owner")).rejects.toMatchObject({ code: "PARTITION_FENCED" });
      expect((await store.partitions("payments"))[0]!.cursor).toBe("4959's 'sequence'");
    });

    test("moves past offsets without events", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      await commit(store, owned, [], 41);
      expect((await store.own("payments", "0")).committed).toBe(41);
      expect(await all(store.read("payments", owned.partitionId, -1, 100))).toEqual([]);
    });

    test("drops redeliveries, in part and in whole", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const events = Array.from({ length: 10 }, (_, offset) => payment(owned, offset));
      await commit(store, owned, events.slice(0, 6), 5);
      expect(await commit(store, owned, events.slice(2, 5), 4)).toEqual(accepted([]));
      expect((await store.partitions("payments"))[0]!.committed).toBe(5);
      expect(await commit(store, owned, events.slice(4), 9)).toEqual(accepted(events.slice(6)));
      expect(await all(store.read("payments", owned.partitionId, -1, 100))).toEqual(events);
    });

    test("fences an earlier owner and leaves nothing of its commit", async () => {
      const store = await openWith(payments);
      const earlier = await store.own("payments", "0");
      await commit(store, earlier, [payment(earlier, 0)], 0);
      const later = await store.own("payments", "0");
      expect(later).toEqual({ ...earlier, ownerEpoch: later.ownerEpoch, committed: 0 });
      expect(later.ownerEpoch).toBeGreaterThan(earlier.ownerEpoch);
      await expect(
        store.commit({
          partition: earlier,
          events: [payment(earlier, 1)],
          deadLetters: [deadLetter(1)],
          lastOffset: 1,
        }),
      ).rejects.toMatchObject({ code: "PARTITION_FENCED", kind: "operational" });
      expect((await store.partitions("payments"))[0]).toEqual(later);
      expect(await all(store.read("payments", later.partitionId, -1, 9))).toEqual([payment(later, 0)]);
      expect(await store.deadLetters({ limit: 9 })).toEqual([]);
      expect(await commit(store, later, [payment(later, 1)], 1)).toEqual(accepted([payment(later, 1)]));
    });

    test("keeps commits apart that run at once", async () => {
      const store = await openWith(payments);
      const owned = await Promise.all(["0", "1", "2"].map((partition) => store.own("payments", partition)));
      await Promise.all(
        owned.flatMap((partition) =>
          [0, 1, 2, 3].map((n) =>
            commit(store, partition, [payment(partition, 2 * n), payment(partition, 2 * n + 1)], 2 * n + 1),
          ),
        ),
      );
      for (const partition of owned) {
        const offsets = (await all(store.read("payments", partition.partitionId, -1, 100))).map((e) => e.offset);
        expect(offsets).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      }
    });

    test("takes a commit of thousands of events and reads it in batches", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const events = Array.from({ length: 10_000 }, (_, offset) => payment(owned, offset, { amount: offset }));
      expect((await commit(store, owned, events, 9_999)).inserted.length).toBe(10_000);
      const batches: number[] = [];
      let next = 0;
      for await (const batch of store.read("payments", owned.partitionId, -1, 9_999)) {
        batches.push(batch.length);
        for (const event of batch) expect(event.offset).toBe(next++);
      }
      expect(next).toBe(10_000);
      expect(Math.max(...batches)).toBeLessThanOrEqual(8_192);
    });

    test("commits while a reading is under way, which sees the log as it was", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const events = Array.from({ length: 9_000 }, (_, offset) => payment(owned, offset));
      await commit(store, owned, events, 8_999);
      let read = 0;
      let offset = 9_000;
      for await (const batch of store.history(query("payments"))) {
        read += batch.length;
        await commit(store, owned, [payment(owned, offset)], offset);
        offset++;
      }
      expect(read).toBe(9_000);
      expect((await all(store.read("payments", owned.partitionId, -1, offset))).length).toBe(offset);
    });

    test("lets a reading be left early", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      await commit(
        store,
        owned,
        Array.from({ length: 5_000 }, (_, offset) => payment(owned, offset)),
        4_999,
      );
      for (let n = 0; n < 20; n++) {
        for await (const batch of store.read("payments", owned.partitionId, -1, 9_999)) {
          expect(batch.length).toBeGreaterThan(0);
          break;
        }
      }
      expect(await commit(store, owned, [payment(owned, 5_000)], 5_000)).toEqual(accepted([payment(owned, 5_000)]));
    });
  });
}
