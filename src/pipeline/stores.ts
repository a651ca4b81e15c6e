import { join } from "node:path";
import type { OfflineConfig, OnlineConfig } from "../config/store-config.ts";
import { duckdbOfflineStore } from "../feature_store/offline/duckdb-offline-store.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import { postgresOfflineStore } from "../feature_store/offline/postgres-offline-store.ts";
import { lmdbOnlineStore } from "../feature_store/online/lmdb-online-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import { redisOnlineStore } from "../feature_store/online/redis-online-store.ts";

/** Which stores, and where: plain data, for the pipeline's thread too. Holds passwords: never to be logged. */
export interface StoresConfig {
  /** The folder of the embedded stores. */
  readonly data: string;
  readonly online: OnlineConfig;
  readonly offline: OfflineConfig;
}

export function openOnlineStore({ data, online }: StoresConfig): Promise<OnlineStore> {
  return online.store === "lmdb" ? lmdbOnlineStore({ path: join(data, "hot") }) : redisOnlineStore(online);
}

export function openOfflineStore({ data, offline }: StoresConfig): Promise<OfflineStore> {
  if (offline.store === "postgres") return postgresOfflineStore(offline);
  return duckdbOfflineStore({ path: join(data, "cold.duckdb") });
}
