import { afterAll, beforeAll, expect, it } from "vitest";
import { kinesisMembersChange } from "./orders/kinesis-faults.ts";
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

it("loses nothing and counts nothing twice while shards split and merge and one of two processes is killed", async () => {
  const url = await postgres.createDatabase();
  const stores = { redis: `redis://127.0.0.1:${redis.port}`, postgres: url, keyPrefix: "shards:" };
  const found = await kinesisMembersChange("kinesalite", stores, 1);
  expect(found).toMatchObject({ lost: 0, twice: 0, wrong: 0, examples: [], setAside: found.poison });
  expect(found.values).toBeGreaterThan(400);
});
