import { describe, expect, test } from "vitest";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import type { PartitionLeases } from "../../src/feature_store/offline/partition-leases.ts";
import { type OpenWith, payments } from "./offline-store-fixtures.ts";

/** Leases on internal partitions, where the store has them; one for many processes must. */
export function leaseTests(openWith: OpenWith): void {
  describe("leases", () => {
    async function open(skip: () => void): Promise<{ store: OfflineStore; leases: PartitionLeases }> {
      const store = await openWith(payments);
      expect(store.leases !== undefined || !store.capabilities.multiProcess).toBe(true);
      if (store.leases === undefined) skip();
      return { store, leases: store.leases! };
    }

    test("give each holder the first free partition, and again the one that it has", async ({ skip }) => {
      const { leases } = await open(skip);
      expect(await leases.acquire("payments", "http:", "a", 60_000)).toBe("http:0");
      expect(await leases.acquire("payments", "http:", "b", 60_000)).toBe("http:1");
      expect(await leases.acquire("payments", "http:", "a", 60_000)).toBe("http:0");
      expect(await leases.acquire("orders", "http:", "b", 60_000)).toBe("http:0");
      await leases.release("payments", "http:0", "b");
      expect(await leases.acquire("payments", "http:", "c", 60_000)).toBe("http:2");
      await leases.release("payments", "http:0", "a");
      expect(await leases.acquire("payments", "http:", "d", 60_000)).toBe("http:0");
    });

    test("go to one holder each when many ask at once", async ({ skip }) => {
      const { leases } = await open(skip);
      const holders = ["a", "b", "c", "d", "e"];
      const taken = await Promise.all(holders.map((holder) => leases.acquire("payments", "http:", holder, 60_000)));
      expect(taken.sort()).toEqual(holders.map((_, index) => `http:${index}`));
    });

    test("by name go to one holder, who may claim them again, until they end or are given back", async ({ skip }) => {
      const { leases } = await open(skip);
      const shard = "shardId-000000000001";
      const claims = await Promise.all(["a", "b", "c"].map((h) => leases.claim("payments", shard, h, 60_000)));
      expect(claims.filter(Boolean)).toHaveLength(1);
      const holder = "abc"[claims.indexOf(true)]!;
      const other = holder === "a" ? "b" : "a";
      expect(await leases.claim("payments", shard, holder, 60_000)).toBe(true);
      expect(await leases.claim("payments", shard, other, 60_000)).toBe(false);
      expect(await leases.claim("orders", shard, other, 60_000)).toBe(true);
      expect(await leases.claim("payments", "short", other, 1)).toBe(true);
      await expect
        .poll(async () => [...(await leases.holders("payments"))], { timeout: 30_000 })
        .toEqual([[shard, holder]]);
      expect(await leases.claim("payments", "short", holder, 60_000)).toBe(true);
      await leases.release("payments", shard, other);
      expect(await leases.claim("payments", shard, other, 60_000)).toBe(false);
      await leases.release("payments", shard, holder);
      expect(await leases.claim("payments", shard, other, 60_000)).toBe(true);
      expect(await leases.holders("payments")).toEqual(
        new Map([
          [shard, other],
          ["short", holder],
        ]),
      );
    });

    test("end if they are not renewed; then the next owner fences the last one", async ({ skip }) => {
      const { store, leases } = await open(skip);
      const partition = await leases.acquire("payments", "http:", "a", 60_000);
      const first = await store.own("payments", partition);
      expect(await leases.renew("payments", partition, "a", 60_000)).toBe(true);
      expect(await leases.renew("payments", partition, "b", 60_000)).toBe(false);
      await expect.poll(() => leases.renew("payments", partition, "a", 1), { timeout: 30_000 }).toBe(false);
      expect(await leases.acquire("payments", "http:", "b", 60_000)).toBe(partition);
      expect(await leases.renew("payments", partition, "a", 60_000)).toBe(false);
      await store.own("payments", partition);
      await expect(
        store.commit({ partition: first, events: [], deadLetters: [], lastOffset: 0 }),
      ).rejects.toMatchObject({ code: "PARTITION_FENCED" });
    });
  });
}
