import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SourceTable } from "../../src/feature_store/offline/offline-store.ts";
import { all, commit, logged, nullable, type OpenWith, required } from "./offline-store-fixtures.ts";

/** What is written is read, to the last bit. */
export function valueTests(openWith: OpenWith): void {
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
      fc.constantFrom("", "\0", "a\0b", "'", '"', "\ufeffmark", "\ufeff", "naïve 日本語 🎉 and more than twelve bytes"),
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
}
