import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  count,
  countDistinct,
  entity,
  featureView,
  lastN,
  memory,
  streamSource,
  t,
} from "../../src/definitions/index.ts";
import { collectDeclarations, type Declarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import {
  type ErasureContext,
  eraseEntity,
  extendErasures,
  finishErasures,
} from "../../src/feature_store/erase-entity.ts";
import { createFeatureStore, type FeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { applyPlan } from "../../src/feature_store/registry/registry.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { declarations, type Payment, paymentList } from "./payments.ts";

const lookups = ["a", "b", "c"].flatMap((from) => ["a", "b", "c"].map((to) => ({ from, to, asked: 1 })));
/** The columns of `risk` that a sender has without a look at receivers, and a receiver without a look at senders. */
const OF_SENDER = [
  "n_1m",
  "n_1h",
  "amount",
  "mean_amount",
  "last",
  "largest",
  "median",
  "spread",
  "sizes",
  "first_active",
  "last_active",
  "log_amount",
];
const OF_RECEIVER = ["to_amount", "to_last", "to_first", "to_sent"];

function storeOf(online: OnlineStore, offline: OfflineStore, of: Declarations = declarations): FeatureStore {
  return createFeatureStore({ ...of, online, offline, now: () => 0 });
}

function contextOf(store: FeatureStore, online: OnlineStore, offline: OfflineStore, now: number): ErasureContext {
  return { declarations, views: [...store.views.values()], online, offline, now: () => now };
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

/** What the same events give if nobody is erased. */
async function withoutErasure(list: readonly Payment[], asOf: number): Promise<readonly (readonly unknown[])[]> {
  const online = memoryOnlineStore();
  const offline = memoryOfflineStore();
  const pipeline = createPipeline({ ...declarations, online, offline });
  await pipeline.recover();
  pipeline.memory("payments").push(list);
  pipeline.memory("payments").end();
  await pipeline.start();
  await pipeline.finished();
  await pipeline.close();
  return (await storeOf(online, offline).getOnlineFeatures("risk", { rows: lookups, asOf })).rows;
}

async function eventsOf(offline: OfflineStore, column: string, key: string): Promise<number[]> {
  const arrivals: number[] = [];
  const query = {
    source: "payments",
    keyColumns: [column],
    from: null,
    before: null,
    knowledge: "event_time",
  } as const;
  for await (const events of offline.history({ ...query, keys: [[key]] })) {
    arrivals.push(...events.map((event) => event.ingestedAt));
  }
  return arrivals;
}

function payment(id: string, sender: string, receiver: string, at: number): Payment {
  return { id, sender, receiver, amount: 1, cents: 1, at, arrived: at };
}

describe("an erasure", () => {
  it("holds beside the stream, against redeliveries, and changes no other entity", async () => {
    await fc.assert(
      fc.asyncProperty(
        paymentList,
        fc.integer({ min: 0, max: 10_800_000 }),
        fc.integer({ min: 0, max: 12 }),
        fc.scheduler(),
        async (list, now, steps, scheduler) => {
          const memoryStore = memoryOnlineStore();
          const online: OnlineStore = {
            ...memoryStore,
            read: async (keys) => {
              await scheduler.schedule(Promise.resolve());
              return memoryStore.read(keys);
            },
            compareAndSet: async (writes) => {
              await scheduler.schedule(Promise.resolve());
              return memoryStore.compareAndSet(writes);
            },
          };
          const offline = memoryOfflineStore();
          const pipeline = createPipeline({ ...declarations, online, offline, maxBatch: 3 });
          const store = storeOf(memoryStore, offline);
          const asOf = Math.max(...list.map(({ at }) => at)) + 1;
          let until = 0;
          const work = (async () => {
            await applyPlan(offline, declarations);
            await pipeline.recover();
            pipeline.memory("payments").push(list);
            pipeline.memory("payments").end();
            await pipeline.start();
            const erase = async (): ReturnType<typeof eraseEntity> => {
              for (let step = 0; step < steps; step++) await scheduler.schedule(Promise.resolve());
              return eraseEntity(contextOf(store, online, offline, now), "account", { account_id: "a" });
            };
            const [result] = await Promise.all([erase(), pipeline.finished()]);
            expect(result.pending).toBe(false);
            until = result.until;
            await pipeline.close();
            // Delivered again, and by another transport: what is erased stays erased.
            const again = createPipeline({ ...declarations, online, offline, maxBatch: 3 });
            await again.recover();
            await again.start();
            await again.push(
              "payments",
              list.map((p) => ({ ...p, at: p.at, arrived: p.arrived })),
              {},
            );
            await again.drain();
          })();
          await scheduler.waitFor(work);
          expect(until).toBeGreaterThanOrEqual(now);
          for (const column of ["sender", "receiver"]) {
            for (const arrived of await eventsOf(offline, column, "a")) expect(arrived).toBeGreaterThan(until);
          }
          await expectHistory(store, asOf);
          expect((await offline.tombstones())[0]!.pendingKey).toBeNull();
          const before = await withoutErasure(list, asOf);
          const { rows: after, columns: all } = await store.getOnlineFeatures("risk", { rows: lookups, asOf });
          const indexOf = (name: string): number => all.findIndex((column) => column.name === name);
          for (const [i, { from, to }] of lookups.entries()) {
            const columns = [...(from === "a" ? [] : OF_SENDER), ...(to === "a" ? [] : OF_RECEIVER)];
            for (const column of columns.map(indexOf)) expect(after[i]![column]).toEqual(before[i]![column]);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it("leaves nothing to find: neither online nor in history, nor under earlier versions of a view", async () => {
    const online = memoryOnlineStore();
    const offline = memoryOfflineStore();
    const pipeline = createPipeline({ ...declarations, online, offline });
    await applyPlan(offline, declarations);
    await pipeline.recover();
    const list = [payment("1", "a", "b", 1_000), payment("2", "b", "a", 2_000), payment("3", "b", "c", 3_000)];
    pipeline.memory("payments").push(list);
    pipeline.memory("payments").end();
    await pipeline.start();
    await pipeline.finished();
    const store = storeOf(online, offline);
    const { keyspace } = store.views.get("sent")!;
    for await (const values of online.scan(keyspace)) {
      await online.compareAndSet(
        values.map(({ key, value }) => ({ keyspace: "sent@old", key, expectedRevision: 0, bytes: value.bytes })),
      );
    }
    const context = contextOf(store, online, offline, 9_000);
    const result = await eraseEntity(context, "account", { account_id: "a" });
    expect(result).toMatchObject({ entity: "account", events: 2, values: 4, until: 9_000, pending: false });
    // b counted whom it paid: the erased one is not among them any more.
    expect(result.otherValues).toBe(1);
    const rows = [{ from: "a", to: "a", asked: 1 }];
    const erased = await store.getOnlineFeatures("risk", { rows, asOf: 3_001 });
    expect(new Set(erased.statuses[0]!.slice(1, 18))).toEqual(new Set(["NOT_FOUND"]));
    await expectHistory(store, 3_001);
    const left: string[] = [];
    for (const name of await online.keyspaces()) {
      for await (const values of online.scan(name)) left.push(...values.map(({ key }) => Buffer.from(key).toString()));
    }
    expect(left.filter((key) => key.endsWith("a"))).toEqual([]);
    expect(left.length).toBe(5);
    // Who is erased may come back with new events, which are counted from nothing.
    await pipeline.close();
    const next = createPipeline({ ...declarations, online, offline });
    await next.recover();
    await next.start();
    await next.push("payments", [payment("9", "a", "b", 10_000)], {});
    await next.drain();
    expect((await store.getOnlineFeatures("risk", { rows, asOf: 10_001 })).rows[0]!.slice(1, 4)).toEqual([1, 1, 1]);
    expect(await eraseEntity(context, "account", { account_id: "nobody" })).toMatchObject({ events: 0, values: 0 });
  });

  it("is not remembered by a reader, though who comes back begins at revision 1 again", async () => {
    const online = memoryOnlineStore();
    const offline = memoryOfflineStore();
    const pipeline = createPipeline({ ...declarations, online, offline });
    await pipeline.recover();
    await pipeline.start();
    await pipeline.push("payments", [payment("1", "a", "b", 1_000)], { readable: true });
    const store = storeOf(online, offline);
    const rows = [{ from: "a", to: "a", asked: 1 }];
    const largest = async (): Promise<unknown> =>
      (await store.getOnlineFeatures("risk", { rows, asOf: 60_000 })).rows[0]![7];
    for (let times = 0; times < 3; times++) expect(await largest()).toBe(1n);
    await eraseEntity(contextOf(store, online, offline, 9_000), "account", { account_id: "a" });
    await pipeline.push("payments", [{ ...payment("2", "a", "b", 10_000), cents: 7 }], { readable: true });
    expect(await largest()).toBe(7n);
    await pipeline.close();
  });

  it("that a failure of the hot store cut short is finished later, whatever the moment", async () => {
    for (let fails = 0; ; fails++) {
      const online = memoryOnlineStore();
      const offline = memoryOfflineStore();
      const pipeline = createPipeline({ ...declarations, online, offline });
      await pipeline.recover();
      pipeline.memory("payments").push([payment("1", "a", "b", 1_000), payment("2", "b", "a", 2_000)]);
      pipeline.memory("payments").end();
      await pipeline.start();
      await pipeline.finished();
      await pipeline.close();
      let left = fails;
      const step = <Args extends unknown[], R>(
        call: (...args: Args) => Promise<R>,
      ): ((...args: Args) => Promise<R>) => {
        return async (...args) => {
          if (left-- === 0) throw new TypeError("gone");
          return call(...args);
        };
      };
      const store = storeOf(online, offline);
      const failing = {
        ...online,
        read: step(online.read),
        compareAndSet: step(online.compareAndSet),
        readMeta: step(online.readMeta),
      };
      const finishing = { ...offline, finishErasure: step(offline.finishErasure) };
      const context = contextOf(store, failing, finishing, 9_000);
      const done = await eraseEntity(context, "account", { account_id: "a" }).then(
        () => true,
        () => false,
      );
      if (!done) expect((await offline.tombstones())[0]!.pendingKey).not.toBeNull();
      expect(await finishErasures(contextOf(store, online, offline, 9_000))).toBe(0);
      expect((await offline.tombstones())[0]!.pendingKey).toBeNull();
      await expectHistory(store, 3_000);
      const rows = [{ from: "a", to: "a", asked: 1 }];
      expect((await store.getOnlineFeatures("risk", { rows, asOf: 3_000 })).statuses[0]![1]).toBe("NOT_FOUND");
      if (done) break;
      expect(fails).toBeLessThan(100);
    }
  });

  it("stays pending while events that were committed before it are not folded, and is finished once they are", async () => {
    const online = memoryOnlineStore();
    const offline = memoryOfflineStore();
    const first = createPipeline({ ...declarations, online, offline });
    await first.recover();
    await first.close();
    // Another process committed this, and has not folded it.
    const owned = await offline.own("payments", "elsewhere");
    await offline.commit({ partition: owned, events: [], deadLetters: [], lastOffset: 5 });
    const store = storeOf(online, offline);
    const context = { ...contextOf(store, online, offline, 9_000), waitMs: 30 };
    expect((await eraseEntity(context, "account", { account_id: "a" })).pending).toBe(true);
    expect(await finishErasures(context)).toBe(1);
    const second = createPipeline({ ...declarations, online, offline });
    await second.recover();
    await second.close();
    expect(await finishErasures(context)).toBe(0);
  });

  it("is taken over to views that are declared later", async () => {
    const source = streamSource("visits", {
      stream: memory(),
      clock: "stream",
      eventTime: "at",
      lateness: "1m",
      schema: { visitor: t.string(), host: t.string().nullable(), at: t.timestamp() },
    });
    const person = entity("person", { person_id: t.string() });
    const made = featureView("made", {
      source,
      entity: person,
      keys: { person_id: source.visitor },
      features: { n: count().over("1h"), hosts: countDistinct(source.host).over("1h"), last: lastN(source.host, 2) },
    });
    const received = featureView("received", {
      source,
      entity: person,
      keys: { person_id: source.host },
      features: { n: count().over("1h") },
    });
    const before = collectDeclarations({ made });
    const online = memoryOnlineStore();
    const offline = memoryOfflineStore();
    const first = createPipeline({ ...before, online, offline });
    await applyPlan(offline, before);
    await first.recover();
    const visits = [
      { visitor: "ann", host: "bob", at: 1_000 },
      { visitor: "bob", host: "ann", at: 2_000 },
    ];
    first.memory("visits").push(visits);
    first.memory("visits").end();
    await first.start();
    await first.finished();
    await first.close();
    const store = storeOf(online, offline, before);
    const context = {
      declarations: before,
      views: [...store.views.values()],
      online,
      offline,
      now: () => 9_000,
    };
    await eraseEntity(context, "person", { person_id: "ann" });
    const after = collectDeclarations({ made, received });
    expect(await extendErasures({ declarations: after, offline })).toBe(1);
    expect(await extendErasures({ declarations: after, offline })).toBe(0);
    const second = createPipeline({ ...after, online, offline });
    await second.recover();
    await second.close();
    const hosts: string[] = [];
    const { keyspace } = storeOf(online, offline, after).views.get("received")!;
    for await (const values of online.scan(keyspace)) {
      hosts.push(...values.map(({ key }) => Buffer.from(key).toString().slice(2)));
    }
    expect(hosts).toEqual(["bob"]);
  });

  it.each([
    ["nobody", { x: 1 }, "ENTITY_UNKNOWN", "account"],
    ["account", {}, "ENTITY_KEY_INVALID", "account_id"],
    ["account", { account_id: 5 }, "ENTITY_KEY_INVALID", "string"],
    ["account", { account_id: "a", other: "b" }, "ENTITY_KEY_INVALID", "other"],
  ])("of %s with %j is refused with %s", async (name, key, code, text) => {
    const online = memoryOnlineStore();
    const offline = memoryOfflineStore();
    const context = contextOf(storeOf(online, offline), online, offline, 0);
    await expect(eraseEntity(context, name, key)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(text),
    });
  });
});
