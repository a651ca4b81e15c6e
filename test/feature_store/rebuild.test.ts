import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Meta } from "../../src/definitions/meta.ts";
import { createMessageLogger } from "../../src/feature_engineering/engine/message-logger.ts";
import { createFeatureStore, type FeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { type RebuildResult, rebuild } from "../../src/feature_store/rebuild.ts";
import { compileMessageDecoder } from "../../src/ingestion/decoders/message-decoder.ts";
import { isDecodeFailure } from "../../src/ingestion/decoders/row-decoder.ts";
import { createPipeline, type Pipeline } from "../../src/pipeline/pipeline.ts";
import { declarations, type Payment, paymentList, payments } from "./payments.ts";

const lookups = ["a", "b", "c"].flatMap((from) => ["a", "c"].map((to) => ({ from, to, asked: 1 })));

function storeOf(online: OnlineStore, offline: OfflineStore): FeatureStore {
  return createFeatureStore({ ...declarations, online, offline, now: () => 0 });
}

/** Puts payments into history and nowhere else, as another process would that died before it folded them. */
async function intoHistory(offline: OfflineStore, partition: string, list: readonly Payment[]): Promise<void> {
  const source = payments[Meta];
  const decoder = compileMessageDecoder(source.columns, { eventTime: "at" });
  const toLogged = createMessageLogger(source);
  const owned = await offline.own("payments", partition);
  const events = list.map((payment, offset) => {
    const payload = decoder.decodeValue(payment);
    if (isDecodeFailure(payload)) throw new TypeError(payload.reason);
    const { at: eventTime, arrived: ingestedAt } = payment;
    const message = { source: "payments", partition, offset, key: null, payload, eventTime, ingestedAt, headers: {} };
    return toLogged(message, owned.partitionId);
  });
  await offline.commit({ partition: owned, events, deadLetters: [], lastOffset: events.length - 1 });
}

async function expectHistory(store: FeatureStore, asOf: number): Promise<void> {
  const { readLookup } = store.service("risk");
  const online = await store.getOnlineFeatures("risk", { rows: lookups, asOf });
  const history = await store.getHistoricalFeatures("risk", {
    rows: lookups.map((row) => ({ lookup: readLookup(row), time: asOf })),
  });
  expect(online.rows).toEqual(history.rows);
  expect(online.statuses).toEqual(history.statuses);
}

/** Rebuilds every view, small pages, one after the other. */
async function rebuildAll(
  store: FeatureStore,
  online: OnlineStore,
  offline: OfflineStore,
  clock: () => number,
): Promise<RebuildResult[]> {
  const results: RebuildResult[] = [];
  for (const view of store.views.values()) {
    results.push(await rebuild({ view, online, offline, keys: null, clock, pageSize: 2 }));
  }
  return results;
}

describe("a rebuild", () => {
  it("gives what history has while the stream goes on, and counts nothing twice when it is folded afterwards", async () => {
    await fc.assert(
      fc.asyncProperty(paymentList, paymentList, fc.scheduler(), async (older, newer, scheduler) => {
        const late = older.map((payment) => ({ ...payment, id: `late-${payment.id}` }));
        const memory = memoryOnlineStore();
        const offline = memoryOfflineStore();
        // Every step of the stores is an await of its own, in an order that the scheduler picks.
        const online: OnlineStore = {
          ...memory,
          read: async (keys) => {
            await scheduler.schedule(Promise.resolve());
            return memory.read(keys);
          },
          compareAndSet: async (writes) => {
            await scheduler.schedule(Promise.resolve());
            return memory.compareAndSet(writes);
          },
        };
        const pipeline: Pipeline = createPipeline({ ...declarations, online, offline, maxBatch: 3 });
        const store = storeOf(memory, offline);
        const clock = (): number => Math.max(...[...older, ...newer].map((payment) => payment.at)) + 1;
        const work = (async () => {
          await pipeline.recover();
          await intoHistory(offline, "loaded", late);
          pipeline.memory("payments").push(newer);
          pipeline.memory("payments").end();
          await pipeline.start();
          await Promise.all([rebuildAll(store, online, offline, clock), pipeline.finished()]);
          await pipeline.close();
        })();
        await scheduler.waitFor(work);
        await expectHistory(store, clock());
        // What was loaded beside the engine is folded by the next one, and skipped where it is in the value already.
        const next = createPipeline({ ...declarations, online: memory, offline });
        await next.recover();
        await next.close();
        await expectHistory(store, clock());
      }),
      { numRuns: 60 },
    );
  });

  it("leaves values alone that are right, and goes on behind the entity where it was left", async () => {
    const online = memoryOnlineStore();
    const offline = memoryOfflineStore();
    const pipeline = createPipeline({ ...declarations, online, offline });
    await pipeline.recover();
    const list = ["a", "b", "c", "d", "e"].map((sender, i) => ({
      id: sender,
      sender,
      receiver: "z",
      amount: 1,
      cents: 1,
      at: i * 1_000,
      arrived: i * 1_000,
    }));
    await intoHistory(offline, "loaded", list);
    const store = storeOf(online, offline);
    const view = store.views.get("sent")!;
    const clock = (): number => 5_000;
    const stop = new AbortController();
    const last: unknown[] = [];
    const first = await rebuild({
      view,
      online,
      offline,
      keys: null,
      clock,
      pageSize: 2,
      signal: stop.signal,
      onPage: (_result, key) => {
        last.push(key);
        if (last.length === 2) stop.abort();
      },
    });
    expect(first).toEqual({ entities: 4, written: 4, unchanged: 0 });
    const after = last.at(-1) as readonly string[];
    expect(await rebuild({ view, online, offline, keys: null, after, clock })).toEqual({
      entities: 1,
      written: 1,
      unchanged: 0,
    });
    expect(await rebuild({ view, online, offline, keys: null, clock })).toEqual({
      entities: 5,
      written: 0,
      unchanged: 5,
    });
    await pipeline.close();
  });

  it("removes the value of an entity that has no history, and refuses older moments of entities that it left out", async () => {
    const online = memoryOnlineStore();
    const offline = memoryOfflineStore();
    const pipeline = createPipeline({ ...declarations, online, offline });
    await pipeline.recover();
    const at = (ms: number, sender: string): Payment => ({
      id: sender,
      sender,
      receiver: "z",
      amount: 1,
      cents: 1,
      at: ms,
      arrived: ms,
    });
    await intoHistory(offline, "loaded", [at(0, "a"), at(36_000_000, "b")]);
    const store = storeOf(online, offline);
    const view = store.views.get("sent")!;
    const [ghost] = [{ keyspace: view.keyspace, key: Uint8Array.of(1, 1, 120) }];
    await online.compareAndSet([{ ...ghost!, expectedRevision: 0, bytes: Uint8Array.of(1) }]);
    const clock = (): number => 36_000_001;
    await rebuild({ view, online, offline, keys: [["x"], ["a"], ["b"]], clock });
    expect(await online.read([ghost!])).toEqual([null]);
    const rows = [{ from: "a", to: "b", asked: 1 }];
    expect((await store.getOnlineFeatures("risk", { rows, asOf: 36_000_001 })).statuses[0]![1]).toBe("NOT_FOUND");
    await expect(store.getOnlineFeatures("risk", { rows, asOf: 120_000 })).rejects.toMatchObject({
      code: "AS_OF_TOO_OLD",
    });
    await pipeline.close();
  });
});
