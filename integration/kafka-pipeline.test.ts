import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkOrders, type OrdersCheck } from "./orders/check-orders.ts";
import type { ConsumerPlan } from "./orders/consumer-plan.ts";
import { type ConsumerProcess, caughtUp, startConsumer } from "./orders/consumer-process.ts";
import { declareOrders, kafkaConnections } from "./orders/declarations.ts";
import { type FaultStores, openFaultStores } from "./orders/fault-stores.ts";
import { type KafkaOrderProducer, kafkaOrderProducer } from "./orders/kafka-order-producer.ts";
import { type KafkaCluster, kafkaCluster, QUICK_CLUSTER } from "./services/kafka-cluster.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";

const PARTITIONS = 4;
let cluster: KafkaCluster;
let folder: string;
const started: ConsumerProcess[] = [];

beforeAll(async () => {
  cluster = await kafkaCluster({ properties: QUICK_CLUSTER });
  folder = await mkdtemp(join(tmpdir(), "millrace-kafka-pipeline-"));
});
afterAll(async () => {
  for (const consumer of started) await consumer.kill("SIGKILL");
  await cluster?.close();
  await rm(folder, { recursive: true, force: true });
});

function planOf(
  { stream, topic }: KafkaOrderProducer,
  stores: FaultStores,
  { groupProtocol = "classic", ...more }: Partial<ConsumerPlan> & { groupProtocol?: "classic" | "consumer" } = {},
): ConsumerPlan {
  const connections = kafkaConnections(cluster.brokers, topic, groupProtocol);
  return { stream, connections, stores, die: null, recovery: true, more: {}, ...more };
}

function start(plan: ConsumerPlan): ConsumerProcess {
  const consumer = startConsumer(plan);
  started.push(consumer);
  return consumer;
}

async function check(producer: KafkaOrderProducer, stores: FaultStores): Promise<OrdersCheck> {
  const opened = await openFaultStores(stores);
  try {
    return await checkOrders(opened, declareOrders(producer.stream), producer.produced);
  } finally {
    await opened.close();
  }
}

describe("a pipeline that reads Kafka into the embedded stores", () => {
  it("loses nothing and counts nothing twice through kills, a broken broker, poison and aborted transactions", async () => {
    const producer = await kafkaOrderProducer(cluster.brokers, {
      topic: "embedded",
      partitions: PARTITIONS,
      replicas: 1,
    });
    const stores = { folder: join(folder, "embedded") };
    for (const die of [
      { point: "before-commit", after: 3 },
      { point: "after-commit", after: 2 },
      { point: "between-writes", after: 5 },
      { point: "after-applied", after: 1 },
      { point: "after-commit", after: 4 },
    ]) {
      const consumer = start(planOf(producer, stores, { die }));
      await producer.send(1_500);
      expect(await consumer.ended, consumer.words()).toBe("SIGKILL");
    }
    const last = start(planOf(producer, stores));
    await producer.send(1_500);
    await cluster.kill(0);
    await cluster.start(0);
    await producer.send(1_500);
    await caughtUp([last], producer.lastOffsets);
    await last.kill("SIGTERM");
    const found = await check(producer, stores);
    await producer.close();
    expect(found).toMatchObject({ lost: 0, twice: 0, mismatches: 0, examples: [], deadLetters: producer.poison });
    expect(found.values).toBeGreaterThan(400);
  });

  it("would not without the recovery code", async () => {
    const producer = await kafkaOrderProducer(cluster.brokers, {
      topic: "broken",
      partitions: PARTITIONS,
      replicas: 1,
    });
    const stores = { folder: join(folder, "broken") };
    const consumer = start(planOf(producer, stores, { die: { point: "after-commit", after: 2 }, recovery: false }));
    await producer.send(1_500);
    expect(await consumer.ended).toBe("SIGKILL");
    const last = start(planOf(producer, stores, { recovery: false }));
    await caughtUp([last], producer.lastOffsets);
    await last.kill("SIGTERM");
    await producer.close();
    expect((await check(producer, stores)).mismatches).toBeGreaterThan(0);
  });
});

describe("pipelines that share the partitions of Kafka, on Redis and PostgreSQL", () => {
  let redis: RedisServer;
  let postgres: PostgresServer;
  beforeAll(async () => {
    [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  });
  afterAll(async () => {
    await Promise.all([redis?.remove(), postgres?.remove()]);
  });

  for (const groupProtocol of ["classic", "consumer"] as const) {
    it(`lose nothing and count nothing twice while they join, leave and die under load, in a ${groupProtocol} group`, async () => {
      const producer = await kafkaOrderProducer(cluster.brokers, {
        topic: `shared-${groupProtocol}`,
        partitions: PARTITIONS,
        replicas: 1,
      });
      const stores = {
        redis: `redis://127.0.0.1:${redis.port}`,
        postgres: await postgres.createDatabase(),
        keyPrefix: `${groupProtocol}:`,
      };
      const plan = planOf(producer, stores, { groupProtocol });
      let producing = true;
      const load = (async () => {
        // About two thousand a second: consumers keep up, and are always at work.
        while (producing) {
          await producer.send(100);
          await pause(50);
        }
      })();
      let members = [start({ ...plan, more: { holder: "first" } })];
      for (const [i, signal] of (["SIGKILL", "SIGTERM", "SIGKILL"] as const).entries()) {
        const joining = start({ ...plan, more: { holder: `member-${i}` } });
        await expect.poll(() => Object.keys(joining.lag()).length, { timeout: 60_000 }).toBeGreaterThan(0);
        await members[0]!.kill(signal);
        members = [joining];
      }
      const other = start({ ...plan, more: { holder: "other" } });
      await expect.poll(() => Object.keys(other.lag()).length, { timeout: 60_000 }).toBeGreaterThan(0);
      producing = false;
      await load;
      members.push(other);
      await caughtUp(members, producer.lastOffsets);
      // Each knows what the other one reads.
      for (const member of members) {
        const owners = (): number =>
          new Set(
            Object.entries(member.owners())
              .filter(([partition]) => partition.startsWith(producer.topic))
              .map(([, owner]) => owner),
          ).size;
        await expect.poll(owners, { timeout: 60_000 }).toBe(2);
      }
      for (const member of members) await member.kill("SIGTERM");
      await producer.close();
      const found = await check(producer, stores);
      expect(found).toMatchObject({ lost: 0, twice: 0, mismatches: 0, examples: [], deadLetters: producer.poison });
    });
  }
});
