/**
 * Replays the flights into stores, and dies at a chosen point: the process that the crash tests kill. Arguments: the
 * stores' configuration as JSON, point, how often the point is passed before it kills, `recover` or `no-recovery`.
 */

import { areShared } from "../../src/config/store-config.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { openOfflineStore, openOnlineStore, type StoresConfig } from "../../src/pipeline/stores.ts";
import * as declared from "./declarations.ts";
import { dyingStores } from "./dying-stores.ts";

const [config, point, countdown, recovery] = process.argv.slice(2) as [string, string, string, string];
const stores = JSON.parse(config) as StoresConfig;
const { online, offline } = dyingStores(
  { online: await openOnlineStore(stores), offline: await openOfflineStore(stores) },
  { point, after: Number(countdown), recovery: recovery !== "no-recovery" },
);
const pipeline = createPipeline({
  ...collectDeclarations(declared),
  online,
  offline,
  holder: areShared(stores) ? crypto.randomUUID() : null,
  maxBatch: 500,
});
await pipeline.recover();
await pipeline.start();
process.stdout.write("started\n");
await pipeline.finished();
await pipeline.close();
await online.close();
await offline.close();
process.stdout.write("finished\n");
