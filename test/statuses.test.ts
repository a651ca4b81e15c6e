import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duckdbOfflineStore } from "../src/feature_store/offline/duckdb-offline-store.ts";
import { memoryOfflineStore } from "../src/feature_store/offline/memory-offline-store.ts";
import { lmdbOnlineStore } from "../src/feature_store/online/lmdb-online-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { describeStatuses } from "./describe-statuses.ts";

describeStatuses("memory and memory", async () => ({
  online: memoryOnlineStore(),
  offline: memoryOfflineStore(),
  async [Symbol.asyncDispose]() {},
}));

describeStatuses("LMDB and DuckDB", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-statuses-"));
  const online = await lmdbOnlineStore({ path: join(folder, "hot") });
  const offline = await duckdbOfflineStore({ path: join(folder, "cold.duckdb") });
  return {
    online,
    offline,
    async [Symbol.asyncDispose]() {
      await online.close();
      await offline.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
});
