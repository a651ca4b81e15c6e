import { afterAll, beforeAll, expect, it } from "vitest";
import type { FaultStores } from "./orders/fault-stores.ts";
import { leadersMoved, runKafkaFault } from "./orders/kafka-faults.ts";
import { type KafkaCluster, kafkaCluster, QUICK_CLUSTER } from "./services/kafka-cluster.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";

let cluster: KafkaCluster;
let redis: RedisServer;
let postgres: PostgresServer;

beforeAll(async () => {
  [cluster, redis, postgres] = await Promise.all([
    kafkaCluster({ brokers: 3, properties: QUICK_CLUSTER }),
    startRedis(),
    startPostgres(),
  ]);
});
afterAll(async () => {
  await Promise.all([cluster?.close(), redis?.remove(), postgres?.remove()]);
});

it("loses nothing and counts nothing twice while every partition moves to other brokers", async () => {
  const url = await postgres.createDatabase();
  const stores: FaultStores = { redis: `redis://127.0.0.1:${redis.port}`, postgres: url, keyPrefix: "leaders:" };
  const found = await runKafkaFault(cluster, leadersMoved(cluster, 1), stores);
  expect(found).toMatchObject({ lost: 0, twice: 0, wrong: 0, examples: [], setAside: found.poison });
  expect(found.values).toBeGreaterThan(400);
});
