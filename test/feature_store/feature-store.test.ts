import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Meta } from "../../src/definitions/meta.ts";
import { createByteReader } from "../../src/feature_engineering/encoding/byte-reader.ts";
import { decodeEntityKey } from "../../src/feature_engineering/encoding/entity-key.ts";
import { createMessageLogger } from "../../src/feature_engineering/engine/message-logger.ts";
import { compileEventExpression } from "../../src/feature_engineering/transforms/compile-event-expression.ts";
import { naiveFeatures } from "../../src/feature_engineering/windows/naive-window.ts";
import { createFeatureStore, type FeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { rebuild } from "../../src/feature_store/rebuild.ts";
import { createSweeper } from "../../src/feature_store/sweep.ts";
import { compileMessageDecoder } from "../../src/ingestion/decoders/message-decoder.ts";
import { isDecodeFailure } from "../../src/ingestion/decoders/row-decoder.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { declarations, milestones, type Payment, paymentList, payments, received, sent } from "./payments.ts";

interface World {
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  readonly store: FeatureStore;
  close(): Promise<void>;
}

/** Runs the payments through the pipeline; afterwards everything is readable. */
async function worldOf(list: readonly Payment[]): Promise<World> {
  const online = memoryOnlineStore();
  const offline = memoryOfflineStore();
  const pipeline = createPipeline({ ...declarations, online, offline, maxBatch: 7 });
  await pipeline.recover();
  pipeline.memory("payments").push(list);
  pipeline.memory("payments").end();
  await pipeline.start();
  await pipeline.finished();
  const store = createFeatureStore({ ...declarations, online, offline, now: () => 0 });
  return { online, offline, store, close: () => pipeline.close() };
}

const lookups = ["a", "b", "c", "nobody"].flatMap((from) => ["a", "c"].map((to) => ({ from, to, asked: 3.5 })));

describe("the feature store", () => {
  it("answers online what history and the oracle answer for the same moment", async () => {
    await fc.assert(
      fc.asyncProperty(paymentList, fc.integer({ min: 1, max: 8_000_000 }), async (list, ahead) => {
        const world = await worldOf(list);
        try {
          const time = Math.max(...list.map((payment) => payment.at)) + ahead;
          const online = await world.store.getOnlineFeatures("risk", { rows: lookups, asOf: time, exact: true });
          const readLookup = world.store.service("risk").readLookup;
          const history = await world.store.getHistoricalFeatures("risk", {
            rows: lookups.map((row) => ({ lookup: readLookup(row), time })),
          });
          expect(online.rows).toEqual(history.rows);
          expect(online.statuses).toEqual(history.statuses);
          for (const [i, { from, to }] of lookups.entries()) {
            const own = list.filter((p) => p.sender === from);
            const got = list.filter((p) => p.receiver === to);
            expect(online.rows[i]!.slice(1, 17)).toEqual([
              ...oracle(sent, own, time).values,
              ...oracle(milestones, own, time).values,
              ...oracle(received, got, time).values,
            ]);
          }
        } finally {
          await world.close();
        }
      }),
      { numRuns: 60 },
    );
  });

  it("tells a key that is null from the text null, online and in history", async () => {
    const at = 1_000_000;
    const world = await worldOf([{ id: "1", sender: "null", receiver: "a", amount: 7, cents: 700, at, arrived: at }]);
    try {
      const rows = [null, "null"].map((from) => ({ from, to: "a", asked: 1 }));
      const readLookup = world.store.service("risk").readLookup;
      const online = await world.store.getOnlineFeatures("risk", { rows, asOf: at + 1 });
      const history = await world.store.getHistoricalFeatures("risk", {
        rows: rows.map((row) => ({ lookup: readLookup(row), time: at + 1 })),
      });
      expect(history.statuses).toEqual(online.statuses);
      expect(history.rows).toEqual(online.rows);
      expect(history.statuses.map((row) => row[1])).toEqual(["NOT_FOUND", "PRESENT"]);
    } finally {
      await world.close();
    }
  });

  it("counts in history only what had happened, or under ingested_at only what had arrived", async () => {
    await fc.assert(
      fc.asyncProperty(
        paymentList,
        fc.array(fc.integer({ min: 0, max: 11_000_000 }), { minLength: 1, maxLength: 6 }),
        async (list, times) => {
          const world = await worldOf(list);
          try {
            const readLookup = world.store.service("risk").readLookup;
            const rows = times.flatMap((time) => lookups.map((row) => ({ lookup: readLookup(row), time })));
            for (const knowledge of ["event_time", "ingested_at"] as const) {
              const history = await world.store.getHistoricalFeatures("risk", { rows, knowledge });
              for (const [i, { time }] of rows.entries()) {
                const { from } = lookups[i % lookups.length]!;
                const known = list.filter(
                  (p) => p.sender === from && (knowledge === "event_time" || p.arrived <= time),
                );
                expect(history.rows[i]!.slice(1, 14)).toEqual([
                  ...oracle(sent, known, time).values,
                  ...oracle(milestones, known, time).values,
                ]);
              }
            }
          } finally {
            await world.close();
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("rebuilds from history the values that the stream had made", async () => {
    await fc.assert(
      fc.asyncProperty(paymentList, fc.integer({ min: 1, max: 4_000_000 }), async (list, ahead) => {
        const world = await worldOf(list);
        try {
          const clock = Math.max(...list.map((payment) => payment.at)) + 1;
          const read = () => world.store.getOnlineFeatures("risk", { rows: lookups, asOf: clock + ahead });
          const before = await read();
          for (const view of ["sent", "received", "milestones"]) {
            const runtime = world.store.views.get(view)!;
            for await (const values of world.online.scan(runtime.keyspace)) {
              const broken = values.filter((_, i) => i % 2 === 0);
              await world.online.compareAndSet(
                broken.map(({ key, value }) => ({
                  keyspace: runtime.keyspace,
                  key,
                  expectedRevision: value.revision,
                  bytes: null,
                })),
              );
            }
            await rebuild({
              view: runtime,
              online: world.online,
              offline: world.offline,
              keys: null,
              clock: () => clock,
            });
          }
          expect((await read()).rows).toEqual(before.rows);
          const [one] = list.filter((payment) => payment.sender !== null);
          if (one !== undefined) {
            const keys = [[one.sender], ["nobody"]];
            expect(
              await rebuild({
                view: world.store.views.get("sent")!,
                online: world.online,
                offline: world.offline,
                keys,
                clock: () => clock,
              }),
            ).toMatchObject({ entities: 2, written: 0 });
            expect((await read()).rows).toEqual(before.rows);
          }
        } finally {
          await world.close();
        }
      }),
      { numRuns: 40 },
    );
  });

  it("sweeps entities out of all windows, answers as before, and refuses moments that it swept", async () => {
    const at = (minutes: number, sender: string): Payment => ({
      id: `${sender}${minutes}`,
      sender,
      receiver: "z",
      amount: 1,
      cents: 1,
      at: minutes * 60_000,
      arrived: minutes * 60_000,
    });
    const world = await worldOf([at(0, "a"), at(1, "a"), at(600, "b")]);
    try {
      const view = world.store.views.get("sent")!;
      const clock = 600 * 60_000 + 1;
      const rows = [{ from: "a", to: "b", asked: 1 }];
      const before = await world.store.getOnlineFeatures("risk", { rows, asOf: clock });
      const sweeper = createSweeper(world.online, view);
      expect(await sweeper.step(clock, 1)).toEqual({ deleted: 1, done: false });
      expect(await sweeper.step(clock, 1)).toEqual({ deleted: 0, done: true });
      const left: unknown[] = [];
      for await (const values of world.online.scan(view.keyspace))
        left.push(...values.map(({ key }) => decodeEntityKey(createByteReader(key))));
      expect(left).toEqual([["b"]]);
      expect((await world.store.getOnlineFeatures("risk", { rows, asOf: clock })).rows).toEqual(before.rows);
      await expect(world.store.getOnlineFeatures("risk", { rows, asOf: 2 * 60_000 })).rejects.toMatchObject({
        code: "AS_OF_TOO_OLD",
      });
    } finally {
      await world.close();
    }
  });

  it("flags a read before an applied event, and refuses it if it must be exact", async () => {
    const world = await worldOf([
      { id: "1", sender: "a", receiver: "b", amount: 1, cents: 1, at: 60_000, arrived: 60_000 },
    ]);
    try {
      const rows = [{ from: "a", to: "b", asked: 1 }];
      const at = (asOf: number, exact = false) => world.store.getOnlineFeatures("risk", { rows, asOf, exact });
      expect((await at(60_000)).headOverlap).toEqual([true]);
      expect((await at(60_001)).headOverlap).toEqual([false]);
      await expect(at(60_000, true)).rejects.toMatchObject({ code: "AS_OF_TOO_EARLY" });
      expect((await world.store.getOnlineFeatures("risk", { rows })).asOf).toBe(60_001);
    } finally {
      await world.close();
    }
  });

  it.each([
    [{ to: "b", asked: 1 }, "LOOKUP_COLUMN_MISSING", "'from'"],
    [{ from: "a", to: "b" }, "LOOKUP_COLUMN_MISSING", "'asked'"],
    [{ from: 5, to: "b", asked: 1 }, "LOOKUP_INVALID", "'from'"],
    [{ from: "a", to: "b", asked: "1" }, "LOOKUP_INVALID", "'asked'"],
    [{ from: "a", to: "b", asked: 1, other: 2 }, "LOOKUP_COLUMN_UNKNOWN", "'other'"],
  ])("says what is wrong with the lookup %j", async (row, code, name) => {
    const world = await worldOf([{ id: "1", sender: "a", receiver: "b", amount: 1, cents: 1, at: 0, arrived: 0 }]);
    try {
      await expect(world.store.getOnlineFeatures("risk", { rows: [row] })).rejects.toMatchObject({
        code,
        message: expect.stringContaining(name),
      });
      await expect(world.store.getOnlineFeatures("none", { rows: [] })).rejects.toMatchObject({
        code: "SERVICE_UNKNOWN",
      });
    } finally {
      await world.close();
    }
  });

  it("takes a null key as an entity that is not there", async () => {
    const world = await worldOf([{ id: "1", sender: "a", receiver: "b", amount: 1, cents: 1, at: 0, arrived: 0 }]);
    try {
      const { rows, statuses } = await world.store.getOnlineFeatures("risk", {
        rows: [{ from: null, to: "b", asked: 1 }],
      });
      expect([rows[0]![1], rows[0]![4], statuses[0]![1]]).toEqual([0, null, "NOT_FOUND"]);
      expect(rows[0]![14]).toBe(1);
    } finally {
      await world.close();
    }
  });
});

function oracle(
  view: typeof sent | typeof received | typeof milestones,
  list: readonly Payment[],
  time: number,
): ReturnType<typeof naiveFeatures> {
  const { columns } = payments[Meta];
  const decoder = compileMessageDecoder(columns, { eventTime: "at" });
  const log = createMessageLogger(payments[Meta]);
  const events = list.map((payment, offset) => {
    const payload = decoder.decodeValue(payment);
    if (isDecodeFailure(payload)) throw new TypeError(payload.reason);
    return log(
      {
        source: "payments",
        partition: "0",
        offset,
        key: null,
        payload,
        eventTime: payment.at,
        ingestedAt: payment.arrived,
        headers: {},
      },
      0,
    );
  });
  const index = new Map(columns.map((column, i) => [column.name, i]));
  return naiveFeatures(view[Meta], (expression) => compileEventExpression(expression, index, () => {}), events, time);
}
