import { afterEach, describe, expect, test } from "vitest";
import type {
  OfflineStore,
  OfflineStoreCapabilities,
  SourceTable,
} from "../src/feature_store/offline/offline-store.ts";
import { erasureTests } from "./offline/erasure-conformance.ts";
import { eventIdTests } from "./offline/event-ids-conformance.ts";
import { historyTests } from "./offline/history-conformance.ts";
import { leaseTests } from "./offline/leases-conformance.ts";
import { logTests } from "./offline/log-conformance.ts";
import {
  all,
  commit,
  deadLetter,
  ERASED_AT,
  erasure,
  logged,
  nullable,
  orders,
  payment,
  payments,
  prediction,
  query,
} from "./offline/offline-store-fixtures.ts";
import { predictionTests } from "./offline/predictions-conformance.ts";
import { recordTests } from "./offline/records-conformance.ts";
import { retentionTests } from "./offline/retention-conformance.ts";
import { schemaTests } from "./offline/schema-conformance.ts";
import { valueTests } from "./offline/values-conformance.ts";

/** What the suite needs of an adapter. */
export interface OfflineStoreUnderTest {
  readonly capabilities: OfflineStoreCapabilities;
  /** An empty place for a store. */
  make(): Promise<OfflineStorePlace>;
}

export interface OfflineStorePlace {
  /** Opens a store there: with persistent stores again and again. */
  open(): Promise<OfflineStore>;
  /** Removes the place; its stores are closed. */
  remove(): Promise<void>;
}

/** The tests that every {@link OfflineStore} passes. */
export function describeOfflineStore(name: string, underTest: OfflineStoreUnderTest): void {
  const { capabilities } = underTest;

  describe(name, () => {
    const cleanups: (() => Promise<void>)[] = [];

    async function makePlace(): Promise<OfflineStorePlace> {
      const place = await underTest.make();
      const opened: OfflineStore[] = [];
      cleanups.push(async () => {
        for (const store of opened) await store.close();
        await place.remove();
      });
      return {
        ...place,
        async open() {
          const store = await place.open();
          opened.push(store);
          return store;
        },
      };
    }

    async function openWith(...tables: SourceTable[]): Promise<OfflineStore> {
      const store = await (await makePlace()).open();
      for (const table of tables) await store.prepareSource(table);
      return store;
    }

    afterEach(async () => {
      for (const cleanup of cleanups.splice(0)) await cleanup();
    });

    test("declares the capabilities that the suite was told", async () => {
      expect((await openWith()).capabilities).toEqual(capabilities);
    });

    logTests(openWith);
    eventIdTests(openWith);
    valueTests(openWith);
    historyTests(openWith);
    schemaTests(openWith);
    recordTests(openWith);
    predictionTests(openWith);
    erasureTests(openWith);
    leaseTests(openWith);
    retentionTests(openWith);

    test("refuses everything after `close`", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      await commit(store, owned, [payment(owned, 0)], 0);
      await store.close();
      await store.close();
      const code = expect.objectContaining({ code: "OFFLINE_STORE_UNAVAILABLE" });
      await expect(commit(store, owned, [payment(owned, 1)], 1)).rejects.toEqual(code);
      await expect(store.own("payments", "0")).rejects.toEqual(code);
      await expect(store.setApplied([{ viewVersion: "v", partitionId: 1, offset: 1 }])).rejects.toEqual(code);
      await expect(store.applied("v")).rejects.toEqual(code);
      await expect(store.partitions("payments")).rejects.toEqual(code);
      await expect(all(store.history(query("payments")))).rejects.toEqual(code);
      await expect(store.deadLetters({ limit: 1 })).rejects.toEqual(code);
      await expect(store.documents("plan")).rejects.toEqual(code);
      await expect(store.prepareSource(orders)).rejects.toEqual(code);
      await expect(store.erase(erasure("ann"))).rejects.toEqual(code);
      await expect(store.tombstones()).rejects.toEqual(code);
      await expect(store.appendPredictions([prediction()])).rejects.toEqual(code);
      await expect(store.predictions({ limit: 1 })).rejects.toEqual(code);
    });

    test.runIf(capabilities.persistent)("keeps everything over a restart", async () => {
      const place = await makePlace();
      const first = await place.open();
      await first.prepareSource(orders);
      const owned = await first.own("orders", "0");
      const event = logged(orders, owned, 0, { id: "a", eventTime: 5 }, ["ann", 5]);
      await first.commit({ partition: owned, events: [event], deadLetters: [deadLetter(1)], lastOffset: 3 });
      await first.setApplied([{ viewVersion: "v", partitionId: owned.partitionId, offset: 2 }]);
      await first.putDocument("plan", "p", "{}");
      const columns = [{ name: "note", type: nullable("string") }, ...orders.columns];
      await first.prepareSource({ ...orders, columns });
      await first.erase(erasure("bob"));
      await first.erase(erasure("carl"));
      await first.appendPredictions([prediction()]);
      const tombstones = await first.tombstones();
      const predictions = await first.predictions({ limit: 9 });
      await first.close();

      const second = await place.open();
      expect(await second.tombstones()).toEqual(tombstones);
      expect(await second.predictions({ limit: 9 })).toEqual(predictions);
      expect(await second.partitions("orders")).toEqual([{ ...owned, committed: 3 }]);
      expect(await second.applied("v")).toEqual([{ viewVersion: "v", partitionId: owned.partitionId, offset: 2 }]);
      expect((await second.documents("plan")).length).toBe(1);
      const [letter] = await second.deadLetters({ limit: 9 });
      const taken = await second.own("orders", "0");
      expect(taken.ownerEpoch).toBeGreaterThan(owned.ownerEpoch);
      const next = { ...orders, columns };
      const again = logged(orders, taken, 4, { id: "a", eventTime: 5 }, ["ann", 5]);
      const late = logged(next, taken, 5, { id: "b" }, ["n", "eve", 6]);
      const result = await second.commit({
        partition: taken,
        events: [{ ...again, row: [null, ...again.row] }, late],
        deadLetters: [deadLetter(6)],
        lastOffset: 6,
      });
      expect(result).toEqual({ inserted: [late], duplicates: 1, conflicts: 0, erasures: 2 });
      expect(await all(second.read("orders", owned.partitionId, -1, 9))).toEqual([
        { ...event, row: [null, "ann", 5] },
        late,
      ]);
      const newer = (await second.deadLetters({ limit: 1 }))[0]!;
      expect(newer.id).toBeGreaterThan(letter!.id);
      await second.removeDeadLetters([letter!.id, newer.id]);
      expect((await second.own("orders", "1")).partitionId).not.toBe(owned.partitionId);
      await expect(second.prepareSource(orders)).rejects.toMatchObject({ code: "SCHEMA_INCOMPATIBLE" });
      // The secret stayed, so that the tombstone still knows its entity; and numbers go on.
      const erased = logged(next, taken, 7, { id: "c", ingestedAt: ERASED_AT }, ["n", "bob", 7]);
      expect((await commit(second, taken, [erased], 7)).inserted).toEqual([{ ...erased, row: ["n", null, 7] }]);
      await second.appendPredictions([prediction({ model: "other" })]);
      expect((await second.predictions({ limit: 1 }))[0]!.id).toBeGreaterThan(predictions[0]!.id);
      expect((await second.erase(erasure("ann"))).id).toBe(3);
      await second.close();

      const third = await place.open();
      await third.commit({
        partition: await third.own("orders", "0"),
        events: [],
        deadLetters: [deadLetter(8)],
        lastOffset: 8,
      });
      expect((await third.deadLetters({ limit: 9 })).map(({ id }) => id > newer.id)).toEqual([true]);
    });
  });
}
