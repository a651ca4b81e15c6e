import { describe, expect, test } from "vitest";
import type { SourceTable } from "../../src/feature_store/offline/offline-store.ts";
import {
  all,
  commit,
  deadLetter,
  ERASED_AT,
  erasure,
  logged,
  nullable,
  type OpenWith,
  orders,
  payment,
  payments,
  prediction,
  query,
  required,
  userKey,
} from "./offline-store-fixtures.ts";

const transfers: SourceTable = {
  source: "transfers",
  columns: [
    { name: "sender", type: required("string") },
    { name: "receiver", type: nullable("string") },
    { name: "branch", type: nullable("int32") },
  ],
  hasId: true,
};
const roles = ["sender", "receiver"].map((column) => ({
  source: "transfers",
  keyColumns: [column],
  nulledColumns: [column],
}));

/** Erasure: nulled keys, removed records, and tombstones that do the same to what comes later. */
export function erasureTests(openWith: OpenWith): void {
  describe("an erasure", () => {
    test("nulls the entity's key in its events, in every source, and leaves all else as it was", async () => {
      const store = await openWith(payments, orders);
      const owned = await store.own("payments", "0");
      const other = await store.own("orders", "0");
      const events = ["ann", "bob", "ann", "Ann", "ann "].map((user, offset) => payment(owned, offset, { user }));
      const order = logged(orders, other, 0, { id: "x" }, ["ann", 7]);
      await commit(store, owned, events, 4);
      await commit(store, other, [order], 0);
      const result = await store.erase(erasure("ann"));
      expect(result).toEqual({ id: 1, events: 3, deadLetters: 0, predictions: 0, until: ERASED_AT });
      const nulled = (event: (typeof events)[number]): object => ({ ...event, row: [null, event.row[1]] });
      expect(await all(store.read("payments", owned.partitionId, -1, 9))).toEqual([
        nulled(events[0]!),
        events[1],
        nulled(events[2]!),
        events[3],
        events[4],
      ]);
      expect(await all(store.read("orders", other.partitionId, -1, 9))).toEqual([nulled(order)]);
      expect(await all(store.history({ ...query("payments"), keys: [["ann"]] }))).toEqual([]);
      expect((await all(store.history(query("payments")))).length).toBe(3);
      expect((await store.partitions("payments"))[0]!.committed).toBe(4);
    });

    test("nulls the columns of the role in which the entity stands, not those of others", async () => {
      const store = await openWith(transfers);
      const owned = await store.own("transfers", "0");
      const rows = [
        ["a", "b", 1],
        ["b", "a", 1],
        ["a", "a", 2],
        ["b", null, 3],
      ];
      const events = rows.map((row, offset) => logged(transfers, owned, offset, { id: `${offset}` }, row));
      await commit(store, owned, events, 3);
      expect((await store.erase(erasure("a", { roles }))).events).toBeGreaterThanOrEqual(3);
      expect((await all(store.read("transfers", owned.partitionId, -1, 9))).map((event) => event.row)).toEqual([
        [null, "b", 1],
        ["b", null, 1],
        [null, null, 2],
        ["b", null, 3],
      ]);
    });

    test("of an entity with several keys needs all of them to match, and nulls those it is told to", async () => {
      const store = await openWith(transfers);
      const owned = await store.own("transfers", "0");
      const rows = [
        ["a", "b", 1],
        ["a", "b", 2],
        ["c", "b", 1],
        ["a", "b", null],
      ];
      await commit(
        store,
        owned,
        rows.map((row, offset) => logged(transfers, owned, offset, { id: `${offset}` }, row)),
        3,
      );
      const role = { source: "transfers", keyColumns: ["sender", "branch"], nulledColumns: ["branch"] };
      const keyTypes = [required("string"), required("int32")];
      const order = erasure("", { entity: "sender_at", key: ["a", 1], keyTypes, roles: [role] });
      expect((await store.erase(order)).events).toBe(1);
      const late = logged(transfers, owned, 4, { id: "late" }, ["a", "b", 1]);
      const kept = logged(transfers, owned, 5, { id: "kept" }, ["a", "b", 2]);
      const { inserted } = await commit(store, owned, [late, kept], 5);
      expect(inserted).toEqual([{ ...late, row: ["a", "b", null] }, kept]);
      expect((await all(store.read("transfers", owned.partitionId, -1, 9))).map((event) => event.row[2])).toEqual([
        null,
        2,
        1,
        null,
        null,
        2,
      ]);
    });

    test.each([
      ["int64", 9_007_199_254_740_993n, 9_007_199_254_740_992n],
      ["int32", -5, 5],
      ["bool", true, false],
      ["timestamp", 1_700_000_000_000, 1_700_000_000_001],
    ] as const)("knows keys of type %s", async (kind, key, otherKey) => {
      const table: SourceTable = { ...payments, columns: [{ name: "user_id", type: required(kind) }] };
      const store = await openWith(table);
      const owned = await store.own("payments", "0");
      await commit(store, owned, [logged(table, owned, 0, {}, [key]), logged(table, owned, 1, {}, [otherKey])], 1);
      const order = erasure("", { key: [key], keyTypes: [required(kind)] });
      expect((await store.erase(order)).events).toBe(1);
      const late = [logged(table, owned, 2, {}, [key]), logged(table, owned, 3, {}, [otherKey])];
      expect((await commit(store, owned, late, 3)).inserted.map((event) => event.row[0])).toEqual([null, otherKey]);
      expect((await all(store.read("payments", owned.partitionId, -1, 9))).map((event) => event.row[0])).toEqual([
        null,
        otherKey,
        null,
        otherKey,
      ]);
    });

    test("does the same to what comes later and was taken up to its moment", async () => {
      const store = await openWith(orders);
      const owned = await store.own("orders", "0");
      expect(await commit(store, owned, [], 0)).toEqual({ inserted: [], duplicates: 0, conflicts: 0 });
      await store.erase(erasure("ann"));
      const at = (offset: number, ingestedAt: number, user = "ann"): ReturnType<typeof logged> =>
        logged(orders, owned, offset, { id: `${offset}`, ingestedAt }, [user, offset]);
      const events = [at(1, ERASED_AT), at(2, ERASED_AT + 1), at(3, ERASED_AT - 9, "bob"), at(4, 0)];
      const result = await commit(store, owned, events, 4);
      const stored = [{ ...events[0]!, row: [null, 1] }, events[1]!, events[2]!, { ...events[3]!, row: [null, 4] }];
      expect(result).toEqual({ inserted: stored, duplicates: 0, conflicts: 0, erasures: 1 });
      expect(await all(store.read("orders", owned.partitionId, -1, 9))).toEqual(stored);
    });

    test("knows an erased event that is delivered again by its id and payload hash", async () => {
      const store = await openWith(orders);
      const owned = await store.own("orders", "0");
      const event = logged(orders, owned, 0, { id: "x", eventTime: 5 }, ["ann", 1]);
      await commit(store, owned, [event], 0);
      await store.erase(erasure("ann"));
      const again = await commit(store, owned, [{ ...event, offset: 1 }], 1);
      expect(again).toEqual({ inserted: [], duplicates: 1, conflicts: 0, erasures: 1 });
      const changed = logged(orders, owned, 2, { id: "x", eventTime: 5 }, ["ann", 2]);
      expect(await commit(store, owned, [changed], 2)).toMatchObject({ inserted: [], conflicts: 1 });
      const [letter] = await store.deadLetters({ limit: 1 });
      expect(letter!.code).toBe("ID_CONFLICT");
      expect(new TextDecoder().decode(letter!.bytes)).not.toContain("ann");
    });

    test("reaches to the latest arrival among what it erased", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const late = logged(payments, owned, 0, { ingestedAt: ERASED_AT + 5_000 }, ["ann", 1]);
      await commit(store, owned, [late], 0);
      expect((await store.erase(erasure("ann"))).until).toBe(ERASED_AT + 5_000);
      const { inserted } = await commit(store, owned, [{ ...late, offset: 1 }], 1);
      expect(inserted[0]!.row[0]).toBeNull();
    });

    test("keeps a tombstone without the key, once what lies outside is erased too", async () => {
      const store = await openWith(payments);
      const order = erasure("ann");
      await store.erase(order);
      await store.erase(erasure("bob", { at: ERASED_AT + 7 }));
      const [ann, bob] = await store.tombstones();
      expect(ann).toEqual({
        id: 1,
        entity: "user",
        keyTypes: order.keyTypes,
        keyHash: expect.stringMatching(/^[0-9a-f]{64}$/),
        until: ERASED_AT,
        roles: order.roles,
        pendingKey: userKey("ann"),
      });
      expect(bob!.keyHash).not.toBe(ann!.keyHash);
      await store.finishErasure(1);
      await store.finishErasure(99);
      expect((await store.tombstones()).map((one) => one.pendingKey)).toEqual([null, userKey("bob")]);
    });

    test("of the same entity again replaces its tombstone and counts on", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      await store.erase(erasure("ann"));
      await store.finishErasure(1);
      const later = erasure("ann", { at: ERASED_AT + 100, roles: [{ ...roles[0]!, source: "other" }] });
      expect(await store.erase(later)).toMatchObject({ id: 2, until: ERASED_AT + 100 });
      const tombstones = await store.tombstones();
      expect(tombstones).toMatchObject([{ id: 2, until: ERASED_AT + 100, pendingKey: userKey("ann") }]);
      expect(tombstones[0]!.roles.length).toBe(4);
      expect((await commit(store, owned, [], 0)).erasures).toBe(2);
      // An order with an older moment takes nothing back.
      expect((await store.erase(erasure("ann"))).until).toBe(ERASED_AT + 100);
    });

    test("removes the dead letters and the predictions of the entity", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const letters = ['{"user_id":"ann"}', '{"user_id":"bob","amount":"ann"}', "user ann, broken", "joann", "ann"];
      const deadLetters = letters.map((text, offset) => ({
        ...deadLetter(offset),
        source: offset === 4 ? "elsewhere" : "payments",
        bytes: new TextEncoder().encode(text),
      }));
      await store.commit({ partition: owned, events: [], deadLetters, lastOffset: 4 });
      await store.appendPredictions([
        prediction(),
        prediction({ keys: [userKey("bob")] }),
        prediction({ keys: [userKey("bob"), userKey("ann")] }),
      ]);
      expect(await store.erase(erasure("ann"))).toMatchObject({ deadLetters: 2, predictions: 2 });
      const left = await store.deadLetters({ limit: 9 });
      expect(left.map(({ bytes }) => new TextDecoder().decode(bytes))).toEqual([
        "ann",
        "joann",
        '{"user_id":"bob","amount":"ann"}',
      ]);
      expect((await store.predictions({ limit: 9 })).map(({ keys }) => keys)).toEqual([[userKey("bob")]]);
      await store.appendPredictions([
        prediction({ at: ERASED_AT }),
        prediction({ at: ERASED_AT, keys: [userKey("eve")] }),
        prediction({ at: ERASED_AT + 1 }),
      ]);
      expect((await store.predictions({ limit: 9 })).map(({ keys }) => keys)).toEqual([
        [userKey("ann")],
        [userKey("eve")],
        [userKey("bob")],
      ]);
    });

    test("is extended to roles that are declared later, without knowing the key any more", async () => {
      const store = await openWith(transfers);
      const owned = await store.own("transfers", "0");
      const [sender, receiver] = roles as [(typeof roles)[0], (typeof roles)[0]];
      await store.erase(erasure("a", { roles: [sender] }));
      await store.finishErasure(1);
      const rows = [
        ["b", "a", 1],
        ["b", "c", 1],
        ["b", "a", 2],
      ];
      const events = rows.map((row, offset) =>
        logged(
          transfers,
          owned,
          offset,
          { id: `${offset}`, ...(offset === 2 ? { ingestedAt: ERASED_AT + 1 } : {}) },
          row,
        ),
      );
      await commit(store, owned, events, 2);
      expect(await store.extendTombstones("user", [sender])).toBe(0);
      expect(await store.extendTombstones("nobody", [receiver])).toBe(0);
      expect(await store.extendTombstones("user", [sender, receiver])).toBe(1);
      expect(await store.extendTombstones("user", [receiver])).toBe(0);
      expect((await all(store.read("transfers", owned.partitionId, -1, 9))).map((event) => event.row[1])).toEqual([
        null,
        "c",
        "a",
      ]);
      expect((await store.tombstones())[0]!.roles).toEqual([sender, receiver]);
      const { inserted } = await commit(store, owned, [logged(transfers, owned, 3, { id: "3" }, ["b", "a", 1])], 3);
      expect(inserted[0]!.row).toEqual(["b", null, 1]);
    });

    test("holds beside commits that run at the same time", async () => {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      const work: Promise<{ inserted: readonly object[] } | object>[] = [];
      for (let offset = 0; offset < 40; offset++) {
        work.push(commit(store, owned, [payment(owned, offset, { user: offset % 2 === 0 ? "ann" : "bob" })], offset));
        if (offset === 20) work.push(store.erase(erasure("ann")));
      }
      await Promise.all(work);
      const events = await all(store.read("payments", owned.partitionId, -1, 99));
      expect(events.length).toBe(40);
      expect(events.filter((event) => event.row[0] === "bob").length).toBe(20);
      expect(events.filter((event) => event.row[0] === null).length).toBe(20);
    });
  });
}
