import { describe, expect, test } from "vitest";
import type { OwnedPartition } from "../../src/feature_engineering/engine/event-log.ts";
import type { OfflineStore, SourceTable } from "../../src/feature_store/offline/offline-store.ts";
import {
  all,
  commit,
  logged,
  nullable,
  type OpenWith,
  payment,
  payments,
  query,
  required,
} from "./offline-store-fixtures.ts";

/** What may change in a declaration of which events are stored. */
export function schemaTests(openWith: OpenWith): void {
  describe("a changed declaration", () => {
    const withColumns = (...columns: SourceTable["columns"]): SourceTable => ({ ...payments, columns });
    const [user, amount] = payments.columns as [SourceTable["columns"][number], SourceTable["columns"][number]];

    async function openFilled(): Promise<{ store: OfflineStore; owned: OwnedPartition }> {
      const store = await openWith(payments);
      const owned = await store.own("payments", "0");
      await commit(store, owned, [payment(owned, 0, { amount: 5 }), payment(owned, 1, { amount: null })], 1);
      return { store, owned };
    }

    test("may add nullable columns, which read as null of older events", async () => {
      const { store, owned } = await openFilled();
      const next = withColumns(
        { name: "note", type: nullable("string") },
        user,
        { name: "tags", type: nullable("list", { item: required("string") }) },
        amount,
      );
      await store.prepareSource(next);
      await store.prepareSource(next);
      const added = logged(next, owned, 2, {}, ["new", "bob", ["x", "y"], 7]);
      await commit(store, owned, [added], 2);
      const found = await all(store.read("payments", owned.partitionId, -1, 9));
      expect(found.map((event) => event.row)).toEqual([
        [null, "ann", null, 5],
        [null, "ann", null, null],
        ["new", "bob", ["x", "y"], 7],
      ]);
    });

    test("may put its columns in another order", async () => {
      const { store, owned } = await openFilled();
      const next = withColumns(amount, user);
      await store.prepareSource(next);
      await commit(store, owned, [logged(next, owned, 2, {}, [7, "bob"])], 2);
      const found = await all(store.history({ ...query("payments"), knowledge: "ingested_at" }));
      expect(found.map((event) => event.row)).toEqual([
        [5, "ann"],
        [null, "ann"],
        [7, "bob"],
      ]);
    });

    test("is refused with the reason where stored events do not fit, and changes nothing then", async () => {
      const { store, owned } = await openFilled();
      const refused: [SourceTable, RegExp][] = [
        [withColumns(user, { name: "amount", type: nullable("string") }), /'amount' was float64 and is string/],
        [withColumns(user), /'amount' was removed/],
        [withColumns(user, amount, { name: "note", type: required("string") }), /'note' is not nullable/],
        [withColumns(user, { name: "amount", type: required("float64") }), /'amount' is no longer nullable/],
        [
          withColumns({ name: "user_id", type: nullable("one_of", { values: ["ann"] }) }, amount),
          /'user_id' was string/,
        ],
        [{ ...payments, hasId: true }, /no id/],
      ];
      for (const [table, reason] of refused) {
        await expect(store.prepareSource(table)).rejects.toMatchObject({
          code: "SCHEMA_INCOMPATIBLE",
          kind: "user",
          message: expect.stringMatching(reason),
        });
      }
      await commit(store, owned, [payment(owned, 2)], 2);
      expect((await all(store.read("payments", owned.partitionId, -1, 9))).length).toBe(3);
    });

    test("may drop nullability and values that no stored event has", async () => {
      const colour = (values: string[], isNullable = true): SourceTable => ({
        source: "colours",
        columns: [{ name: "colour", type: { kind: "one_of", nullable: isNullable, values } }],
        hasId: false,
      });
      const store = await openWith(colour(["red", "green", "blue"]));
      const owned = await store.own("colours", "0");
      const event = logged(colour([]), owned, 0, {}, ["red"]);
      await commit(store, owned, [event], 0);
      await store.prepareSource(colour(["red", "violet"], false));
      await expect(store.prepareSource(colour(["violet"]))).rejects.toMatchObject({
        code: "SCHEMA_INCOMPATIBLE",
        message: expect.stringMatching(/no longer allows/),
      });
      expect(await all(store.read("colours", owned.partitionId, -1, 9))).toEqual([event]);
    });

    test("may name the keys of views, also once there are events", async () => {
      const { store, owned } = await openFilled();
      for (const keys of [[["user_id"]], [["user_id"], ["user_id", "amount"]], []]) {
        await store.prepareSource({ ...payments, keys });
      }
      await commit(store, owned, [payment(owned, 2, { user: "bob" })], 2);
      const found = await all(store.history({ ...query("payments"), keyColumns: ["user_id", "amount"] }));
      expect(found.map((event) => event.row)).toEqual(
        expect.arrayContaining([
          ["ann", 5],
          ["bob", 2],
        ]),
      );
      expect((await all(store.history({ ...query("payments"), keys: [["bob"]] }))).length).toBe(1);
    });

    test("may be any other one while there are no events", async () => {
      const store = await openWith(payments);
      const next: SourceTable = { ...withColumns({ name: "user_id", type: required("int64") }), hasId: true };
      await store.prepareSource(next);
      const owned = await store.own("payments", "0");
      const event = logged(next, owned, 0, { id: "a" }, [5n]);
      await commit(store, owned, [event], 0);
      expect(await all(store.read("payments", owned.partitionId, -1, 9))).toEqual([event]);
    });
  });
}
