import { afterAll, beforeAll, expect, it } from "vitest";
import { pubsubStorm, STORMY } from "./orders/pubsub-faults.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type PubsubServer, pubsubServer } from "./services/pubsub-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";

let redis: RedisServer;
let postgres: PostgresServer;
let server: PubsubServer;

beforeAll(async () => {
  [redis, postgres, server] = await Promise.all([startRedis(), startPostgres(), pubsubServer(STORMY)]);
});
afterAll(async () => {
  await Promise.all([redis?.remove(), postgres?.remove(), server?.close()]);
});

it("loses nothing and counts nothing twice in a storm of redeliveries, with a process killed in it", async () => {
  const url = await postgres.createDatabase();
  const stores = { redis: `redis://127.0.0.1:${redis.port}`, postgres: url, keyPrefix: "storm:" };
  const found = await pubsubStorm(server, stores, 1);
  expect(found).toMatchObject({ lost: 0, twice: 0, wrong: 0, examples: [], setAside: found.poison });
  const { messages, deliveries, lostAcks, unacknowledged } = await server.deliveries();
  expect(deliveries).toBeGreaterThan(messages);
  expect([lostAcks > 0, unacknowledged]).toEqual([true, 0]);
});
