import { startPostgres } from "../integration/services/postgres-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { reportCrashes } from "./accept-crashes.ts";

/** Acceptance: as `crashes`, on a Redis and a PostgreSQL that this starts; each report has a database of its own. */
export async function run(args: readonly string[]): Promise<void> {
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  try {
    let runs = 0;
    await reportCrashes(args, async () => ({
      online: { store: "redis", url: `redis://127.0.0.1:${redis.port}`, keyPrefix: `run-${runs++}:` },
      offline: { store: "postgres", url: await postgres.createDatabase() },
    }));
  } finally {
    await redis.remove();
    await postgres.remove();
  }
}
