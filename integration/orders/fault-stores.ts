import { join } from "node:path";
import { duckdbOfflineStore } from "../../src/feature_store/offline/duckdb-offline-store.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { postgresOfflineStore } from "../../src/feature_store/offline/postgres-offline-store.ts";
import { lmdbOnlineStore } from "../../src/feature_store/online/lmdb-online-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { redisOnlineStore } from "../../src/feature_store/online/redis-online-store.ts";

/** Which stores: those of a folder, or servers. */
export type FaultStores =
  | { readonly folder: string }
  | { readonly redis: string; readonly postgres: string; readonly keyPrefix: string };

export interface OpenFaultStores {
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  close(): Promise<void>;
}

export async function openFaultStores(stores: FaultStores): Promise<OpenFaultStores> {
  const online =
    "folder" in stores
      ? await lmdbOnlineStore({ path: join(stores.folder, "hot") })
      : await redisOnlineStore({ url: stores.redis, keyPrefix: stores.keyPrefix });
  const offline =
    "folder" in stores
      ? await duckdbOfflineStore({ path: join(stores.folder, "cold.duckdb") })
      : await postgresOfflineStore({ url: stores.postgres });
  return {
    online,
    offline,
    async close() {
      await online.close();
      await offline.close();
    },
  };
}
