/**
 * Erases an account in the stores of a folder, and dies at the n-th step that changes a store: the process that the
 * crash test of erasure kills. Arguments: folder, how many steps pass before it dies.
 */

import { createFeatureStore } from "../../src/feature_store/feature-store.ts";
import { duckdbOfflineStore } from "../../src/feature_store/offline/duckdb-offline-store.ts";
import { lmdbOnlineStore } from "../../src/feature_store/online/lmdb-online-store.ts";
import { createLifecycle } from "../../src/pipeline/lifecycle.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { declarations } from "../feature_store/payments.ts";

const [folder, countdown] = process.argv.slice(2) as [string, string];
let left = Number(countdown);

function pass(): void {
  if (left-- <= 0) process.kill(process.pid, "SIGKILL");
}

/** Dies before or after the call, in turn. */
function dying<Args extends unknown[], R>(call: (...args: Args) => Promise<R>): (...args: Args) => Promise<R> {
  return async (...args) => {
    pass();
    const result = await call(...args);
    pass();
    return result;
  };
}

const hot = await lmdbOnlineStore({ path: `${folder}/hot` });
const cold = await duckdbOfflineStore({ path: `${folder}/cold.duckdb` });
const pipeline = createPipeline({ ...declarations, online: hot, offline: cold });
await pipeline.recover();
const online = { ...hot, compareAndSet: dying(hot.compareAndSet) };
const offline = { ...cold, erase: dying(cold.erase), finishErasure: dying(cold.finishErasure) };
const store = createFeatureStore({ ...declarations, online, offline, now: Date.now });
const lifecycle = createLifecycle({ online, offline, current: () => ({ declarations, store }), onFailure: () => {} });
await lifecycle.methods.erase("account", { account_id: "a" });
process.stdout.write("erased\n");
await lifecycle.close();
await pipeline.close();
await hot.close();
await cold.close();
