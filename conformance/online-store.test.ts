import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lmdbOnlineStore } from "../src/feature_store/online/lmdb-online-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { describeOnlineStore } from "./online-store-conformance.ts";

describeOnlineStore("memoryOnlineStore", {
  capabilities: { persistent: false, multiProcess: false, syncReads: true, expires: false },
  async make() {
    return { open: async () => memoryOnlineStore(), remove: async () => {} };
  },
});

describeOnlineStore("lmdbOnlineStore", {
  capabilities: { persistent: true, multiProcess: true, syncReads: true, expires: false, sorted: true },
  async make() {
    const folder = await mkdtemp(join(tmpdir(), "millrace-lmdb-"));
    return {
      open: () => lmdbOnlineStore({ path: join(folder, "online") }),
      remove: () => rm(folder, { recursive: true, force: true }),
    };
  },
});
