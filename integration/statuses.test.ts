import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";
import { redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { describeStatuses } from "../test/describe-statuses.ts";
import { startPostgres } from "./services/postgres-server.ts";
import { startRedis } from "./services/redis-server.ts";

describeStatuses("Redis and PostgreSQL", async () => {
  const redis = await startRedis();
  const postgres = await startPostgres();
  const online = await redisOnlineStore({ url: `redis://127.0.0.1:${redis.port}` });
  const offline = await postgresOfflineStore({ url: await postgres.createDatabase() });
  return {
    online,
    offline,
    async [Symbol.asyncDispose]() {
      await online.close();
      await offline.close();
      await redis.remove();
      await postgres.remove();
    },
  };
});
