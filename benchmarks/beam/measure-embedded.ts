import { join } from "node:path";
import type { PostgresServer } from "../../integration/services/postgres-server.ts";
import type { RedisServer } from "../../integration/services/redis-server.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { postgresOfflineStore } from "../../src/feature_store/offline/postgres-offline-store.ts";
import { redisOnlineStore } from "../../src/feature_store/online/redis-online-store.ts";
import { fileReplay, streamSource } from "../../src/index.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { schema, views } from "../payments.ts";
import type { WatchedUsage } from "./watch-process.ts";

/** The embedded engine over the files of a folder, into Redis, with history in PostgreSQL or in this process's memory. */
export async function measureEmbedded(
  folder: string,
  redis: RedisServer,
  postgres: PostgresServer | null,
): Promise<WatchedUsage> {
  const payments = streamSource("payments", {
    stream: fileReplay({ path: join(folder, "*.jsonl") }),
    clock: "stream",
    eventTime: "at",
    lateness: "1m",
    schema,
  });
  const { sources } = collectDeclarations({ payments });
  const online = await redisOnlineStore({ url: `redis://127.0.0.1:${redis.port}`, keyPrefix: "embedded:" });
  const offline =
    postgres === null ? memoryOfflineStore() : await postgresOfflineStore({ url: await postgres.createDatabase() });
  const pipeline = createPipeline({ sources, views, online, offline });
  await pipeline.recover();
  const cpu = process.cpuUsage();
  const started = performance.now();
  await pipeline.start();
  await pipeline.finished();
  await pipeline.drain();
  const seconds = (performance.now() - started) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const peakMiB = Math.round(process.resourceUsage().maxRSS / 1_024);
  await pipeline.close();
  await online.close();
  await offline.close();
  return { seconds, cpuSeconds: (user + system) / 1e6, peakMiB };
}
