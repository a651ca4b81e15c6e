/**
 * Replays the flights into stores, and dies at a chosen point: the process that the crash tests kill. Arguments: the
 * stores' configuration as JSON, point, how often the point is passed before it kills, `recover` or `no-recovery`.
 */

import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { createPipeline } from "../../src/pipeline.ts";
import { areShared } from "../../src/store-config.ts";
import { openOfflineStore, openOnlineStore, type StoresConfig } from "../../src/stores.ts";
import * as declared from "./declarations.ts";

const [config, point, countdown, recovery] = process.argv.slice(2) as [string, string, string, string];
let left = Number(countdown);

function pass(name: string): void {
  if (name === point && left-- <= 0) process.kill(process.pid, "SIGKILL");
}

function dyingOffline(store: OfflineStore): OfflineStore {
  return {
    ...store,
    async commit(commit) {
      pass("before-commit");
      const result = await store.commit(commit);
      pass("after-commit");
      return result;
    },
    async setApplied(positions) {
      pass("before-applied");
      await store.setApplied(positions);
      pass("after-applied");
    },
    async *read(...args) {
      if (recovery !== "no-recovery") yield* store.read(...args);
    },
  };
}

function dyingOnline(store: OnlineStore): OnlineStore {
  return {
    ...store,
    async compareAndSet(writes) {
      const half = Math.ceil(writes.length / 2);
      const first = await store.compareAndSet(writes.slice(0, half));
      pass("between-writes");
      return [...first, ...(await store.compareAndSet(writes.slice(half)))];
    },
  };
}

const stores = JSON.parse(config) as StoresConfig;
const online = dyingOnline(await openOnlineStore(stores));
const offline = dyingOffline(await openOfflineStore(stores));
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
