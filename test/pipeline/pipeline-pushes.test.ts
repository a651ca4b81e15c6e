import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import {
  count,
  decodeWith,
  entity,
  featureService,
  featureView,
  httpPush,
  memory,
  streamSource,
  sum,
  t,
} from "../../src/definitions/index.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { createFeatureStore } from "../../src/feature_store/feature-store.ts";
import { duckdbOfflineStore } from "../../src/feature_store/offline/duckdb-offline-store.ts";
import { lmdbOnlineStore } from "../../src/feature_store/online/lmdb-online-store.ts";
import { createPipeline, type Pipeline } from "../../src/pipeline/pipeline.ts";

const card = entity("card", { card_id: t.string() });
const payments = streamSource("payments", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  schema: { card_id: t.string(), amount: t.float64(), at: t.timestamp() },
});
const activity = featureView("activity", {
  source: payments,
  entity: card,
  features: { n: count().over("1h"), spend: sum(payments.amount).over("1h") },
});
const risk = featureService("risk", { features: { n: activity.n, spend: activity.spend } });
const declarations = collectDeclarations({ card, payments, activity, risk });

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** Opens the embedded stores, starts what takes pushes, and closes everything after `use`. */
async function running<T>(
  folder: string,
  what: "all" | "pushed",
  use: (pipeline: Pipeline, read: () => Promise<unknown>) => Promise<T>,
): Promise<T> {
  const online = await lmdbOnlineStore({ path: join(folder, "hot") });
  const offline = await duckdbOfflineStore({ path: join(folder, "cold.duckdb") });
  const pipeline = createPipeline({ ...declarations, online, offline });
  try {
    await pipeline.recover();
    await pipeline.start(what);
    const store = createFeatureStore({ ...declarations, online, offline, now: Date.now });
    return await use(pipeline, async () => {
      await pipeline.drain();
      const asOf = Date.now() + 1;
      return (await store.getOnlineFeatures("risk", { rows: [{ card_id: "a" }], asOf })).rows[0];
    });
  } finally {
    await pipeline.close();
    await online.close();
    await offline.close();
  }
}

it("applies a push under an idempotency key once, also when it is repeated after a restart", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-pushes-"));
  folders.push(folder);
  const event = { card_id: "a", amount: 5, at: new Date().toISOString() };
  const wrong = { ...event, amount: "much" };
  const key = { idempotencyKey: "it's 1" };
  await running(folder, "all", async (pipeline, read) => {
    const first = await pipeline.push("payments", [event, wrong], key);
    expect(first).toMatchObject({ accepted: 1, rejected: [{ index: 1 }], duplicate: false });
    expect(await pipeline.push("payments", [event, wrong], key)).toEqual({ ...first, duplicate: true });
    expect((await pipeline.push("payments", [event])).duplicate).toBe(false);
    expect(await read()).toEqual([2, 10]);
  });
  await running(folder, "pushed", async (pipeline, read) => {
    const again = await pipeline.push("payments", JSON.stringify([event, wrong]), key);
    expect(again).toMatchObject({ accepted: 1, rejected: [{ index: 1 }], duplicate: true });
    expect((await pipeline.push("payments", [event], { idempotencyKey: "2" })).duplicate).toBe(false);
    expect(await read()).toEqual([3, 15]);
  });
});

it("reads a message as the source's transport encodes it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-pushes-"));
  folders.push(folder);
  const encoded = streamSource("encoded", {
    stream: memory(),
    format: decodeWith(({ value }) => {
      const [card_id, amount, at] = Buffer.from(value).toString("utf8").split("|");
      return { card_id, amount: Number(amount), at: Number(at) };
    }),
    eventTime: "at",
    lateness: "1m",
    schema: { card_id: t.string(), amount: t.float64(), at: t.timestamp() },
  });
  const online = await lmdbOnlineStore({ path: join(folder, "hot") });
  const offline = await duckdbOfflineStore({ path: join(folder, "cold.duckdb") });
  const pipeline = createPipeline({ ...collectDeclarations({ encoded }), online, offline });
  try {
    await pipeline.recover();
    await pipeline.start("pushed");
    const key = { idempotencyKey: "one" };
    const bytes = Buffer.from(`a|5|${Date.now() - 1_000}`);
    expect(await pipeline.push("encoded", bytes, key)).toMatchObject({ accepted: 1, duplicate: false });
    expect(await pipeline.push("encoded", bytes, key)).toMatchObject({ accepted: 1, duplicate: true });
    const bad = await pipeline.push("encoded", Buffer.from("a|much|later"));
    expect([bad.accepted, bad.rejected[0]!.code]).toEqual([0, "INVALID_VALUE"]);
  } finally {
    await pipeline.close();
    await online.close();
    await offline.close();
  }
});
