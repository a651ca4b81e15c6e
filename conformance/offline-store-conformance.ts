import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import type { ColumnTypeSpec, Value } from "../src/definitions/value.ts";
import { payloadHash } from "../src/feature_engineering/encoding/payload-hash.ts";
import type {
  AcceptedPush,
  DeadLetter,
  LoggedEvent,
  OwnedPartition,
} from "../src/feature_engineering/engine/event-log.ts";
import type {
  HistoryQuery,
  OfflineStore,
  OfflineStoreCapabilities,
  SourceTable,
} from "../src/feature_store/offline/offline-store.ts";

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

const nullable = (kind: ColumnTypeSpec["kind"], rest: Partial<ColumnTypeSpec> = {}): ColumnTypeSpec => ({
  kind,
  nullable: true,
  ...rest,
});
const required = (kind: ColumnTypeSpec["kind"]): ColumnTypeSpec => ({ kind, nullable: false });

const payments: SourceTable = {
  source: "payments",
  columns: [
    { name: "user_id", type: required("string") },
    { name: "amount", type: nullable("float64") },
  ],
  hasId: false,
};
const orders: SourceTable = { ...payments, source: "orders", hasId: true };

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
        const id = fc.oneof(
          fc.integer({ min: 0, max: 30 }).map(String),
          fc.string({ unit: "grapheme", maxLength: 40 }),
        );
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

    describe("values", () => {
      const kinds: SourceTable = {
        source: "kinds",
        columns: [
          { name: "string", type: nullable("string") },
          { name: "int64", type: nullable("int64") },
          { name: "int32", type: nullable("int32") },
          { name: "float64", type: nullable("float64") },
          { name: "bool", type: nullable("bool") },
          { name: "timestamp", type: nullable("timestamp") },
          { name: "one_of", type: nullable("one_of", { values: ["red", "it's", "grün"] }) },
          { name: "strings", type: nullable("list", { item: nullable("string") }) },
          { name: "int64s", type: nullable("list", { item: required("int64") }) },
          { name: "floats", type: nullable("list", { item: nullable("float64") }) },
          { name: "times", type: nullable("list", { item: nullable("timestamp") }) },
          { name: "lists", type: nullable("list", { item: nullable("list", { item: required("int32") }) }) },
          // Names that SQL would take for something else.
          { name: "offset", type: nullable("int32") },
          { name: "select", type: nullable("string") },
        ],
        hasId: true,
      };
      const strings = fc.oneof(
        fc.string({ unit: "binary", maxLength: 30 }).map((text) => text.toWellFormed()),
        fc.constantFrom(
          "",
          "\0",
          "a\0b",
          "'",
          '"',
          "\ufeffmark",
          "\ufeff",
          "naïve 日本語 🎉 and more than twelve bytes",
        ),
      );
      const float = fc.double({ noNaN: true, noDefaultInfinity: true });
      const int64 = fc.oneof(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n),
      );
      const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
      const time = fc.oneof(fc.integer({ min: -8.64e15, max: 8.64e15 }), fc.integer({ min: -1e9, max: 2e12 }));
      const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { freq: 4 });
      const rowOf = fc.tuple(
        maybe(strings),
        maybe(int64),
        maybe(int32),
        maybe(float),
        maybe(fc.boolean()),
        maybe(time),
        maybe(fc.constantFrom("red", "it's", "grün")),
        maybe(fc.array(maybe(strings), { maxLength: 4 })),
        maybe(fc.array(int64, { maxLength: 4 })),
        maybe(fc.array(maybe(float), { maxLength: 4 })),
        maybe(fc.array(maybe(time), { maxLength: 4 })),
        maybe(fc.array(maybe(fc.array(int32, { maxLength: 3 })), { maxLength: 3 })),
        maybe(int32),
        maybe(strings),
      );
      const eventOf = fc.record({
        row: rowOf,
        eventTime: time,
        ingestedAt: time,
        version: fc.oneof(fc.constant(null), float, int64),
        id: maybe(strings),
      });

      test("come back as they were, to the last bit", async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(eventOf, { minLength: 1, maxLength: 80 }), async (made) => {
            const store = await openWith(kinds);
            const owned = await store.own("kinds", "0");
            const seen = new Set<string>();
            const events = made
              .filter(({ id, eventTime }) => id === null || seen.size < seen.add(`${eventTime}:${id}`).size)
              .map(({ row, ...rest }, offset) => logged(kinds, owned, offset, rest, row));
            await commit(store, owned, events, events.length);
            expect(await all(store.read("kinds", owned.partitionId, -1, events.length))).toStrictEqual(events);
          }),
          { numRuns: 30 },
        );
      });

      test("may be nothing but nulls, for more rows than a page", async () => {
        const store = await openWith(kinds);
        const owned = await store.own("kinds", "0");
        const nulls = kinds.columns.map(() => null);
        const events = Array.from({ length: 2_500 }, (_, offset) => logged(kinds, owned, offset, {}, nulls));
        await commit(store, owned, events, 2_499);
        expect(await all(store.read("kinds", owned.partitionId, -1, 9_999))).toStrictEqual(events);
      });

      test("with lone surrogates do no harm", async () => {
        const store = await openWith(kinds);
        const owned = await store.own("kinds", "0");
        const row = kinds.columns.map((column) => (column.type.kind === "string" ? "lone \ud800 surrogate" : null));
        await commit(store, owned, [logged(kinds, owned, 0, { id: "\udc00 id", eventTime: 5 }, row)], 0);
        const [event] = await all(store.read("kinds", owned.partitionId, -1, 9));
        expect(["lone \ud800 surrogate", "lone \ufffd surrogate"]).toContain(event!.row[0]);
        const again = await commit(store, owned, [logged(kinds, owned, 1, { id: "\udc00 id", eventTime: 5 }, row)], 1);
        expect(again).toMatchObject({ inserted: [], duplicates: 1 });
      });
    });

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
      await first.close();

      const second = await place.open();
      expect(await second.partitions("orders")).toEqual([{ ...owned, committed: 3 }]);
      expect(await second.applied("v")).toEqual([{ viewVersion: "v", partitionId: owned.partitionId, offset: 2 }]);
      expect((await second.documents("plan")).length).toBe(1);
      const [letter] = await second.deadLetters({ limit: 9 });
      const taken = await second.own("orders", "0");
      expect(taken.ownerEpoch).toBeGreaterThan(owned.ownerEpoch);
      const next = { ...orders, columns };
      const again = logged(orders, taken, 4, { id: "a", eventTime: 5 }, ["ann", 5]);
      const late = logged(next, taken, 5, { id: "b" }, ["n", "bob", 6]);
      const result = await second.commit({
        partition: taken,
        events: [{ ...again, row: [null, ...again.row] }, late],
        deadLetters: [deadLetter(6)],
        lastOffset: 6,
      });
      expect(result).toEqual({ inserted: [late], duplicates: 1, conflicts: 0 });
      expect(await all(second.read("orders", owned.partitionId, -1, 9))).toEqual([
        { ...event, row: [null, "ann", 5] },
        late,
      ]);
      expect((await second.deadLetters({ limit: 1 }))[0]!.id).toBeGreaterThan(letter!.id);
      expect((await second.own("orders", "1")).partitionId).not.toBe(owned.partitionId);
      await expect(second.prepareSource(orders)).rejects.toMatchObject({ code: "SCHEMA_INCOMPATIBLE" });
    });
  });
}

function logged(
  table: SourceTable,
  owned: OwnedPartition,
  offset: number,
  event: Partial<Pick<LoggedEvent, "eventTime" | "ingestedAt" | "version" | "id">>,
  row: readonly Value[],
): LoggedEvent {
  const [hash0, hash1, hash2, hash3] = payloadHash(table.columns, row) as unknown as [number, number, number, number];
  const { eventTime = 1_700_000_000_000 + offset, ingestedAt = eventTime + 250, version = null, id = null } = event;
  return {
    partitionId: owned.partitionId,
    offset,
    eventTime,
    version,
    ingestedAt,
    hash0,
    hash1,
    hash2,
    hash3,
    id,
    row,
  };
}

function payment(
  owned: OwnedPartition,
  offset: number,
  { user = "ann", amount = offset as number | null }: { user?: string; amount?: number | null } = {},
): LoggedEvent {
  return logged(payments, owned, offset, {}, [user, amount]);
}

function deadLetter(offset: number): DeadLetter {
  return {
    source: "payments",
    partition: "0",
    offset,
    code: "DECODE_FAILED",
    reason: `it's not JSON at ${offset}`,
    bytes: Uint8Array.of(0, 255, offset),
    at: 1_700_000_000_000 + offset,
  };
}

function accepted(inserted: readonly LoggedEvent[]): object {
  return { inserted, duplicates: 0, conflicts: 0 };
}

function query(source: string): HistoryQuery {
  return { source, keyColumns: ["user_id"], keys: null, from: null, before: null, knowledge: "event_time" };
}

function commit(
  store: OfflineStore,
  partition: OwnedPartition,
  events: readonly LoggedEvent[],
  lastOffset: number,
): ReturnType<OfflineStore["commit"]> {
  return store.commit({ partition, events, deadLetters: [], lastOffset });
}

async function all(batches: AsyncIterable<readonly LoggedEvent[]>): Promise<LoggedEvent[]> {
  const events: LoggedEvent[] = [];
  for await (const batch of batches) events.push(...batch);
  return events;
}

function sorted<T extends { readonly partitionId: number }>(positions: readonly T[]): T[] {
  return [...positions].sort((a, b) => a.partitionId - b.partitionId);
}
