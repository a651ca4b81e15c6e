import { expect, it } from "vitest";
import { count, entity, featureView, memory, streamSource, t } from "../../src/definitions/index.ts";
import { collectDeclarations, type Declarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { viewVersion } from "../../src/feature_engineering/plan/plan-hash.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { type PruneReport, prune } from "../../src/feature_store/prune.ts";
import { applyPlan } from "../../src/feature_store/registry/registry.ts";

const payments = streamSource("payments", {
  stream: memory(),
  eventTime: "at",
  lateness: "1m",
  schema: { card: t.string(), at: t.timestamp() },
});
const card = entity("card", { card: t.string() });
const declared = (window: "1h" | "2h" | "3h" | "4h"): Declarations =>
  collectDeclarations({
    payments,
    activity: featureView("activity", { source: payments, entity: card, features: { n: count().over(window) } }),
  });
const versionOf = (declarations: Declarations): string => viewVersion(declarations.views[0]!);

it("drops what neither the last plans nor the declarations have, and unapplied ones only when told", async () => {
  const online = memoryOnlineStore();
  const offline = memoryOfflineStore();
  const [first, second, third, ahead] = (["1h", "2h", "3h", "4h"] as const).map(declared);
  for (const plan of [first!, second!, third!]) await applyPlan(offline, plan);
  const versions = [first!, second!, third!, ahead!].map(versionOf);
  const key = new Uint8Array([1]);
  await online.compareAndSet(
    versions.map((keyspace) => ({ keyspace, key, expectedRevision: 0, bytes: new Uint8Array([1]) })),
  );
  const run = (plans: number, more: object = {}): Promise<PruneReport> =>
    prune({ online, offline, declared: [versionOf(third!)] }, { plans, unapplied: false, dryRun: false, ...more });
  const left = async (): Promise<number[]> =>
    (await online.keyspaces()).map((keyspace) => versions.indexOf(keyspace)).sort();

  expect((await run(3)).keyspaces).toEqual([{ keyspace: versions[3], lastPlan: null, dropped: false }]);
  const listed = await run(2, { dryRun: true });
  expect(listed.kept).toBe(2);
  expect(listed.keyspaces.filter(({ lastPlan }) => lastPlan === 1)).toEqual([
    { keyspace: versions[0], lastPlan: 1, dropped: false },
  ]);
  expect(await left()).toEqual([0, 1, 2, 3]);
  expect((await run(2)).keyspaces.filter(({ dropped }) => dropped)).toEqual([
    { keyspace: versions[0], lastPlan: 1, dropped: true },
  ]);
  expect(await left()).toEqual([1, 2, 3]);
  await run(1, { unapplied: true });
  expect(await left()).toEqual([2]);
  expect(await run(1)).toEqual({ keyspaces: [], kept: 1 });
});

it("keeps what is declared and not applied yet", async () => {
  const online = memoryOnlineStore();
  const keyspace = versionOf(declared("4h"));
  await online.compareAndSet([{ keyspace, key: new Uint8Array([1]), expectedRevision: 0, bytes: new Uint8Array([1]) }]);
  const stores = { online, offline: memoryOfflineStore(), declared: [keyspace] };
  expect(await prune(stores, { plans: 1, unapplied: true, dryRun: false })).toEqual({ keyspaces: [], kept: 1 });
});
