import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duckdbOfflineStore } from "../src/feature_store/offline/duckdb-offline-store.ts";
import { memoryOfflineStore } from "../src/feature_store/offline/memory-offline-store.ts";
import { describeOfflineStore } from "./offline-store-conformance.ts";

describeOfflineStore("memoryOfflineStore", {
  capabilities: { persistent: false, multiProcess: false },
  async make() {
    return { open: async () => memoryOfflineStore(), remove: async () => {} };
  },
});

describeOfflineStore("duckdbOfflineStore", {
  capabilities: { persistent: true, multiProcess: false },
  async make() {
    const folder = await mkdtemp(join(tmpdir(), "millrace-duckdb-"));
    return {
      open: () => duckdbOfflineStore({ path: join(folder, "offline.duckdb") }),
      remove: () => rm(folder, { recursive: true, force: true }),
    };
  },
});
