import { channel } from "node:diagnostics_channel";
import { afterEach, describe, expect, it } from "vitest";
import { derive } from "../../src/definitions/derive.ts";
import {
  entity,
  featureService,
  featureView,
  latest,
  memory,
  streamSource,
  sum,
  t,
} from "../../src/definitions/index.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { ONLINE_READ_CHANNEL, type OnlineReadEvent } from "../../src/feature_store/channels.ts";
import { createFeatureStore, type FeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import type { Fetched, OnlineStore } from "../../src/feature_store/online/online-store.ts";
import type { OnlineReadOptions } from "../../src/feature_store/online-reader.ts";
import { storeError } from "../../src/feature_store/store-error.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";

const NOW = Date.UTC(2026, 0, 1);
const payments = streamSource("payments", {
  stream: memory(),
  eventTime: "at",
  lateness: "1m",
  schema: { card: t.string(), shop: t.string(), amount: t.float64(), at: t.timestamp() },
});
const byCard = featureView("by_card", {
  source: payments,
  entity: entity("card", { card: t.string() }),
  features: { spend: sum(payments.amount).over("1h"), last: latest(payments.amount).default(-1) },
});
const byShop = featureView("by_shop", {
  source: payments,
  entity: entity("shop", { shop: t.string() }),
  features: { sales: sum(payments.amount).over("1h") },
});
const risk = featureService("risk", {
  features: {
    spend: byCard.spend,
    last: byCard.last,
    sales: byShop.sales,
    share: derive({ spend: byCard.spend, sales: byShop.sales }, t.float64().nullable(), ({ spend, sales }) =>
      sales === null || sales === 0 ? 0 : spend / sales,
    ),
  },
});
const declarations = collectDeclarations({ payments, byCard, byShop, risk });
const rows = [
  { card: "a", shop: "x" },
  { card: "nobody", shop: "x" },
];
const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Remote {
  readonly store: FeatureStore;
  readonly pay: (card: string, amount: number) => Promise<void>;
  /** What was asked of the store. */
  readonly fetches: { keys: number; facts: number }[];
  /** Which keys, by key space, the store does not give; or what it throws. */
  away: ((keyspace: string) => boolean) | Error | null;
  wall: number;
}

/** A feature store on a hot store that is read over a network, as far as the reader can tell. */
async function remote(reads: OnlineReadOptions): Promise<Remote> {
  const online = memoryOnlineStore();
  const offline = memoryOfflineStore();
  const pipeline = createPipeline({ ...declarations, online, offline, now: () => world.wall });
  const { readSync: _, readMetaSync: __, ...asynchronous } = online;
  const store: OnlineStore = {
    ...asynchronous,
    capabilities: { ...online.capabilities, syncReads: false },
    async fetch(keys, facts, options): Promise<Fetched> {
      world.fetches.push({ keys: keys.length, facts: facts.length });
      const { away } = world;
      if (away instanceof Error && options?.partial !== true) throw away;
      const fetched = await online.fetch(keys, facts);
      if (away === null) return fetched;
      if (away instanceof Error) {
        return { values: keys.map(() => undefined), facts: facts.map(() => undefined) };
      }
      return { ...fetched, values: fetched.values.map((value, i) => (away(keys[i]!.keyspace) ? undefined : value)) };
    },
  };
  let paid = 0;
  const world: Remote = {
    store: createFeatureStore({ ...declarations, online: store, offline, now: () => world.wall, reads }),
    fetches: [],
    away: null,
    wall: NOW,
    async pay(card, amount) {
      await pipeline.push("payments", [{ card, shop: "x", amount, at: world.wall - 1_000 + paid++ }], {
        readable: true,
      });
    },
  };
  await pipeline.recover();
  await pipeline.start();
  closers.push(() => pipeline.close());
  return world;
}

async function eventOf(read: () => Promise<unknown>): Promise<OnlineReadEvent> {
  const events: OnlineReadEvent[] = [];
  const listen = (event: unknown): void => void events.push(event as OnlineReadEvent);
  channel(ONLINE_READ_CHANNEL).subscribe(listen);
  await read();
  channel(ONLINE_READ_CHANNEL).unsubscribe(listen);
  return events[0]!;
}

describe("a read of a hot store over the network", () => {
  it("takes one round trip for all views, rows and facts", async () => {
    const { store, pay, fetches } = await remote({});
    await pay("a", 3);
    const { rows: values } = await store.getOnlineFeatures("risk", { rows });
    expect(values).toEqual([
      [3, 3, 3, 1],
      [0, -1, 3, 0],
    ]);
    // The view with `latest` is kept for ever, so that nothing of it is dropped.
    expect(fetches).toEqual([{ keys: 4, facts: 1 }]);
  });

  it("says what could not be read, and only that, if partial answers are allowed", async () => {
    const world = await remote({ deadlineMs: 50, fallback: "partial" });
    await world.pay("a", 3);
    const keyspace = world.store.views.get("by_card")!.keyspace;
    world.away = (asked) => asked === keyspace;
    let answer = await world.store.getOnlineFeatures("risk", { rows });
    expect(answer.rows.map((row) => row.slice(0, 3))).toEqual([
      [null, null, 3],
      [null, null, 3],
    ]);
    const none = ["UNAVAILABLE", "UNAVAILABLE", "PRESENT", "UNAVAILABLE"];
    expect(answer.statuses).toEqual([none, none]);
    const event = await eventOf(() => world.store.getOnlineFeatures("risk", { rows }));
    expect(event).toMatchObject({ unavailable: 2, hits: 2, misses: 0, cacheHits: 0, cacheMisses: 0 });
    world.away = storeError("ONLINE_STORE_TIMEOUT", "too slow");
    answer = await world.store.getOnlineFeatures("risk", { rows: rows.slice(0, 1) });
    expect(answer.statuses).toEqual([new Array(4).fill("UNAVAILABLE")]);
    // Without the fact nobody knows whether what is not there was dropped.
    world.away = null;
    answer = await world.store.getOnlineFeatures("risk", { rows });
    expect(answer.statuses).toEqual([
      ["PRESENT", "PRESENT", "PRESENT", "PRESENT"],
      ["NOT_FOUND", "NOT_FOUND", "PRESENT", "PRESENT"],
    ]);
  });

  it("is an error without that", async () => {
    const world = await remote({ deadlineMs: 50 });
    world.away = storeError("ONLINE_STORE_TIMEOUT", "too slow");
    await expect(world.store.getOnlineFeatures("risk", { rows })).rejects.toMatchObject({
      code: "ONLINE_STORE_TIMEOUT",
    });
  });
});

describe("the cache of a view", () => {
  it("answers what was read lately, no older than allowed, and never an exact read", async () => {
    const world = await remote({ cache: { by_card: { maxStalenessMs: 100 }, by_shop: { maxStalenessMs: 1_000 } } });
    await world.pay("a", 3);
    const read = async (exact = false): Promise<unknown> =>
      (await world.store.getOnlineFeatures("risk", { rows: rows.slice(0, 1), exact })).rows[0]!.slice(0, 3);
    expect(await read()).toEqual([3, 3, 3]);
    await world.pay("a", 4);
    world.fetches.length = 0;
    expect(await read()).toEqual([3, 3, 3]);
    expect(world.fetches).toEqual([{ keys: 0, facts: 0 }]);
    expect(await read(true)).toEqual([7, 4, 7]);
    // What it read is what the cache holds from now on.
    await world.pay("a", 5);
    expect(await read()).toEqual([7, 4, 7]);
    world.wall += 101;
    const event = await eventOf(async () => expect(await read()).toEqual([12, 5, 7]));
    expect(event).toMatchObject({ cacheHits: 1, cacheMisses: 1, hits: 1, misses: 0, cacheAgeSeconds: 0.101 });
    world.wall += 1_000;
    expect(await read()).toEqual([12, 5, 12]);
  });

  it("slides windows over what it holds", async () => {
    const world = await remote({ cache: { by_card: { maxStalenessMs: 1e9 }, by_shop: { maxStalenessMs: 1e9 } } });
    await world.pay("a", 3);
    const read = () => world.store.getOnlineFeatures("risk", { rows: rows.slice(0, 1) });
    expect((await read()).rows[0]).toEqual([3, 3, 3, 1]);
    world.wall += 2 * 3_600_000;
    expect((await read()).rows[0]).toEqual([0, 3, 0, 0]);
  });

  it("keeps as many entities as it may", async () => {
    const world = await remote({ cache: { by_card: { maxStalenessMs: 1e9, maxEntries: 2 } } });
    for (const card of ["a", "b", "c"]) await world.store.getOnlineFeatures("risk", { rows: [{ card, shop: "x" }] });
    const hits = async (card: string): Promise<number> =>
      (await eventOf(() => world.store.getOnlineFeatures("risk", { rows: [{ card, shop: "x" }] }))).cacheHits;
    expect(await hits("b")).toBe(1);
    expect(await hits("c")).toBe(1);
    expect(await hits("a")).toBe(0);
  });
});
