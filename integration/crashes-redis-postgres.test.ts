import { afterAll, beforeAll, expect, it } from "vitest";
import { type Crash, type CrashRun, runWithCrashes } from "../test/crash/run-with-crashes.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";

let redis: RedisServer;
let postgres: PostgresServer;
beforeAll(async () => {
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
});
afterAll(async () => {
  await Promise.all([redis?.remove(), postgres?.remove()]);
});

async function crashing(crashes: readonly Crash[], recovery: "recover" | "no-recovery"): Promise<CrashRun> {
  return runWithCrashes(crashes, recovery, {
    online: { store: "redis", url: `redis://127.0.0.1:${redis.port}`, keyPrefix: `${recovery}:` },
    offline: { store: "postgres", url: await postgres.createDatabase() },
  });
}

/** The whole of it, with 20 random moments, is `npm run accept -- crashes-redis-postgres`. */
it("ends with the oracle's values on Redis and PostgreSQL after kills at named points and moments", async () => {
  const run = await crashing(
    [
      { point: "before-commit", after: 7 },
      { point: "after-commit", after: 5 },
      { point: "between-writes", after: 9 },
      { point: "before-applied", after: 1 },
      { milliseconds: 700 },
      { milliseconds: 200 },
    ],
    "recover",
  );
  expect(run.examples).toEqual([]);
  expect(run.mismatches).toBe(0);
  expect(run.crashes).toBeGreaterThanOrEqual(4);
  expect(run.values).toBeGreaterThan(10_000);
});

it("does not without the recovery code", async () => {
  const run = await crashing([{ point: "after-commit", after: 20 }], "no-recovery");
  expect(run.mismatches).toBeGreaterThan(0);
});
