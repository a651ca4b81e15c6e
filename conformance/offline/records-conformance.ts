import { describe, expect, test } from "vitest";
import type { AcceptedPush } from "../../src/feature_engineering/engine/event-log.ts";
import { commit, deadLetter, type OpenWith, orders, payment, payments, sorted } from "./offline-store-fixtures.ts";

/** Applied positions, dead letters, pushes, documents. */
export function recordTests(openWith: OpenWith): void {
  describe("applied positions", () => {
    test("move forward only, by view version and partition", async () => {
      const store = await openWith(payments);
      const one = (await store.own("payments", "0")).partitionId;
      const two = (await store.own("payments", "1")).partitionId;
      expect(await store.applied("v1")).toEqual([]);
      await store.setApplied([
        { viewVersion: "v1", partitionId: one, offset: 5 },
        { viewVersion: "it's v2", partitionId: one, offset: 3 },
      ]);
      await store.setApplied([
        { viewVersion: "v1", partitionId: one, offset: 4 },
        { viewVersion: "v1", partitionId: two, offset: 1 },
      ]);
      await store.setApplied([]);
      await store.setApplied([
        { viewVersion: "it's v2", partitionId: one, offset: 7 },
        { viewVersion: "it's v2", partitionId: one, offset: 6 },
      ]);
      expect(sorted(await store.applied("v1"))).toEqual([
        { viewVersion: "v1", partitionId: one, offset: 5 },
        { viewVersion: "v1", partitionId: two, offset: 1 },
      ]);
      expect(await store.applied("it's v2")).toEqual([{ viewVersion: "it's v2", partitionId: one, offset: 7 }]);
    });

    test("may be set while commits are waiting", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const work: Promise<unknown>[] = [];
      for (let offset = 0; offset < 20; offset++) {
        work.push(commit(store, owned, [payment(owned, offset)], offset));
        work.push(store.setApplied([{ viewVersion: "v", partitionId: owned.partitionId, offset }]));
      }
      await Promise.all(work);
      expect(await store.applied("v")).toEqual([{ viewVersion: "v", partitionId: owned.partitionId, offset: 19 }]);
      expect((await store.partitions("payments"))[0]!.committed).toBe(19);
    });
  });

  describe("dead letters", () => {
    test("are kept with their bytes, newest first, and can be removed", async () => {
      const store = await openWith(payments, orders);
      const owned = await store.own("payments", "0");
      const other = await store.own("orders", "0");
      const letters = [deadLetter(0), deadLetter(1), { ...deadLetter(2), bytes: new Uint8Array(0) }];
      await store.commit({ partition: owned, events: [], deadLetters: letters, lastOffset: 2 });
      await store.commit({
        partition: other,
        events: [],
        deadLetters: [{ ...deadLetter(9), source: "orders" }],
        lastOffset: 9,
      });
      const found = await store.deadLetters({ limit: 100 });
      expect(found.map(({ id: _, ...letter }) => letter)).toEqual([
        { ...deadLetter(9), source: "orders" },
        ...letters.toReversed(),
      ]);
      expect(new Set(found.map((letter) => letter.id)).size).toBe(4);
      expect((await store.deadLetters({ source: "payments", limit: 2 })).map((l) => l.offset)).toEqual([2, 1]);
      await store.removeDeadLetters([found[1]!.id, found[0]!.id, 12_345]);
      await store.removeDeadLetters([]);
      expect((await store.deadLetters({ limit: 100 })).map((l) => l.offset)).toEqual([1, 0]);
    });

    test("get ids that grow and are never used again", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const letterAt = async (offset: number): Promise<number> => {
        await store.commit({ partition: owned, events: [], deadLetters: [deadLetter(offset)], lastOffset: offset });
        return (await store.deadLetters({ limit: 1 }))[0]!.id;
      };
      const first = await letterAt(0);
      await store.removeDeadLetters([first]);
      expect(await letterAt(1)).toBeGreaterThan(first);
    });

    test("are not set aside again when their message is redelivered", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const commitLetters = (offsets: number[], lastOffset: number): Promise<unknown> =>
        store.commit({ partition: owned, events: [], deadLetters: offsets.map(deadLetter), lastOffset });
      await commitLetters([1, 3], 3);
      await commitLetters([1, 3], 3);
      await commitLetters([3, 4], 4);
      expect((await store.deadLetters({ limit: 100 })).map((l) => l.offset)).toEqual([4, 3, 1]);
    });
  });

  describe("accepted pushes", () => {
    const push = (idempotencyKey: string, firstOffset: number, at: number): AcceptedPush => ({
      idempotencyKey,
      partition: "http:0",
      firstOffset,
      lastOffset: firstOffset,
      accepted: 1,
      rejected: [{ index: 1, code: "INVALID_VALUE", reason: "it's wrong" }],
      at,
    });

    test("are known by their key from the commit on, within the window, per source", async () => {
      const store = await openWith(payments, orders);
      const owned = await store.own("payments", "http:0");
      const pushes = [push("one", 0, 1_000), push("two's", 1, 2_000)];
      const events = [payment(owned, 0), payment(owned, 1)];
      await store.commit({ partition: owned, events, deadLetters: [], pushes, lastOffset: 1 });
      await store.commit({ partition: owned, events, deadLetters: [], pushes, lastOffset: 1 });
      expect(await store.seenPushes("payments", ["two's", "none", "one"], 0)).toEqual([pushes[1], null, pushes[0]]);
      expect(await store.seenPushes("payments", ["one", "two's"], 1_001)).toEqual([null, pushes[1]]);
      expect(await store.seenPushes("payments", [], 0)).toEqual([]);
      expect(await store.seenPushes("orders", ["one"], 0)).toEqual([null]);
    });

    test("of one key that two processes looked for before either sent it count once", async ({ skip }) => {
      const store = await openWith(payments);
      if (!store.capabilities.multiProcess) skip();
      const owned = [await store.own("payments", "pubsub:0"), await store.own("payments", "pubsub:1")];
      expect(await store.seenPushes("payments", ["one", "two"], 0)).toEqual([null, null]);
      const results = await Promise.all(
        owned.map((partition, i) =>
          store.commit({
            partition,
            events: [payment(partition, 0), payment(partition, 1)],
            deadLetters: [],
            pushes: [push("one", 0, 1_000), push(`own ${i}`, 1, 1_000)],
            lastOffset: 1,
          }),
        ),
      );
      expect(results.map(({ inserted }) => inserted.length).sort()).toEqual([1, 2]);
      expect(results.map(({ duplicates }) => duplicates).sort()).toEqual([0, 1]);
      const known = await store.seenPushes("payments", ["one", "own 0", "own 1"], 0);
      expect(known.every((found) => found !== null)).toBe(true);
    });

    test("under a key used again stay as they were first, within the window", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "http:0");
      for (const [offset, at] of [
        [0, 1_000],
        [1, 50_000],
        [2, 60_000],
      ] as const) {
        await store.commit({
          partition: owned,
          events: [payment(owned, offset)],
          deadLetters: [],
          pushes: [push("key", offset, at)],
          lastOffset: offset,
        });
      }
      expect(await store.seenPushes("payments", ["key"], 0)).toEqual([push("key", 0, 1_000)]);
      expect(await store.seenPushes("payments", ["key"], 10_000)).toEqual([push("key", 1, 50_000)]);
    });
  });

  describe("documents", () => {
    test("are kept by kind and name, in the order they were put, the newest of a name only", async () => {
      const store = await openWith();
      const before = Date.now();
      await store.putDocument("plan", "b", '{"n":1}');
      await store.putDocument("plan", "a", '{"it\'s":2}');
      await store.putDocument("model", "a", "{}");
      await store.putDocument("plan", "b", '{"n":3}');
      const found = await store.documents("plan");
      expect(found.map(({ name, json }) => [name, json])).toEqual([
        ["a", '{"it\'s":2}'],
        ["b", '{"n":3}'],
      ]);
      for (const { putAt } of found) {
        expect(putAt).toBeGreaterThanOrEqual(before);
        expect(putAt).toBeLessThanOrEqual(Date.now());
      }
      expect((await store.documents("model")).length).toBe(1);
      expect(await store.documents("none")).toEqual([]);
    });
  });
}
