import { describe, expect, test } from "vitest";
import { ERASED_AT, type OpenWith, prediction, userKey } from "./offline-store-fixtures.ts";

/** The prediction log. */
export function predictionTests(openWith: OpenWith): void {
  describe("predictions", () => {
    test("are kept as they are, newest first, by model, page and moment", async () => {
      const store = await openWith();
      const records = [
        prediction({ at: 1_000, keys: [] }),
        prediction({ model: "it's", at: 3_000, keys: [userKey("ann"), userKey("it's")] }),
        prediction({ at: 2_000, json: "" }),
      ];
      await store.appendPredictions(records.slice(0, 2));
      await store.appendPredictions(records.slice(2));
      await store.appendPredictions([]);
      const all = await store.predictions({ limit: 100 });
      expect(all.map(({ id: _, ...record }) => record)).toEqual(records.toReversed());
      expect((await store.predictions({ limit: 1 })).map(({ at }) => at)).toEqual([2_000]);
      expect((await store.predictions({ limit: 9, beforeId: all[0]!.id })).map(({ at }) => at)).toEqual([3_000, 1_000]);
      expect((await store.predictions({ limit: 9, afterId: all[2]!.id })).map(({ at }) => at)).toEqual([2_000, 3_000]);
      expect((await store.predictions({ limit: 9, model: "it's" })).map(({ at }) => at)).toEqual([3_000]);
      expect((await store.predictions({ limit: 9, from: 2_000 })).map(({ at }) => at)).toEqual([2_000, 3_000]);
      expect(await store.predictions({ limit: 0 })).toEqual([]);
    });

    test("made before a moment can be removed", async () => {
      const store = await openWith();
      await store.appendPredictions([1_000, 2_000, 3_000].map((at) => prediction({ at })));
      expect(await store.removePredictions(2_000)).toBe(1);
      expect(await store.removePredictions(2_000)).toBe(0);
      expect((await store.predictions({ limit: 9 })).map(({ at }) => at)).toEqual([3_000, 2_000]);
    });

    test("may come in great numbers at once", async () => {
      const store = await openWith();
      await store.appendPredictions(Array.from({ length: 5_000 }, (_, i) => prediction({ at: ERASED_AT + i })));
      const all = await store.predictions({ limit: 10_000 });
      expect(all.length).toBe(5_000);
      expect(new Set(all.map(({ id }) => id)).size).toBe(5_000);
      expect(all[0]!.at).toBe(ERASED_AT + 4_999);
    });
  });
}
