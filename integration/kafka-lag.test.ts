import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Admin, Producer } from "@platformatic/kafka";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";
import { type MillraceProcess, millraceProcess } from "./services/millrace-process.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";

const FEATURES = `
import { count, entity, featureView, kafka, streamSource, t } from ${JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)))};
export const customer = entity("customer", { customer: t.string() });
export const orders = streamSource("orders", {
  stream: kafka({ topic: "orders" }), eventTime: "at", lateness: "1m", schema: { customer: t.string(), at: t.timestamp() },
});
export const ordering = featureView("ordering", { source: orders, entity: customer, features: { n: count().over("24h") } });
`;
let cluster: KafkaCluster;
let producer: Producer;
let redis: RedisServer;
let postgres: PostgresServer;
let folder: string;
let environment: Record<string, string>;

beforeAll(async () => {
  [cluster, redis, postgres] = await Promise.all([kafkaCluster(), startRedis(), startPostgres()]);
  producer = new Producer({ clientId: "tests", bootstrapBrokers: [...cluster.brokers], idempotent: true });
  const admin = new Admin({ clientId: "tests", bootstrapBrokers: [...cluster.brokers] });
  await admin.createTopics({ topics: ["orders"], partitions: 3, replicas: 1 });
  await admin.close();
  folder = await mkdtemp(join(tmpdir(), "millrace-lag-"));
  await writeFile(join(folder, "features.ts"), FEATURES);
  await writeFile(join(folder, "millrace.config.ts"), 'export default { declarations: "./features.ts" };\n');
  environment = {
    MILLRACE_KAFKA_BROKERS: cluster.brokers.join(","),
    MILLRACE_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    MILLRACE_POSTGRES_URL: await postgres.createDatabase(),
    MILLRACE_LOG_LEVEL: "silent",
  };
});
afterAll(async () => {
  await producer?.close(true);
  await Promise.all([cluster?.close(), redis?.remove(), postgres?.remove()]);
  await rm(folder, { recursive: true, force: true });
});

const ingest = (): Promise<MillraceProcess> =>
  millraceProcess(join(folder, "millrace.config.ts"), environment, "ingest");

/** To the partitions 0 and 1: the third one is idle. */
async function produce(count: number): Promise<void> {
  const messages = Array.from({ length: count }, (_, i) => {
    const value = JSON.stringify({ customer: "c", at: new Date().toISOString() });
    return { topic: "orders", partition: i % 2, value: Buffer.from(value) };
  });
  await producer.send({ messages: messages as never });
}

/** What `/metrics` says, by the transport's partition. */
async function lag(process: MillraceProcess, unit: "messages" | "seconds"): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${process.url}/metrics`)).text();
  const line = new RegExp(`^millrace_ingestion_lag_${unit}\\{(.*)\\} (\\S+)$`, "gm");
  const found: Record<string, number> = {};
  for (const [, labels, value] of text.matchAll(line)) {
    const partition = /partition="(orders:\d)"/.exec(labels!)?.[1];
    if (partition !== undefined) found[partition] = Number(value);
  }
  return found;
}

const NONE = { "orders:0": 0, "orders:1": 0, "orders:2": 0 };

it("shows the lag of each partition in /metrics, of idle ones too, and stays ready while others join and leave", async () => {
  await produce(100);
  await using first = await ingest();
  await expect.poll(() => lag(first, "messages"), { timeout: 60_000 }).toEqual(NONE);
  expect(await lag(first, "seconds")).toEqual(NONE);

  await postgres.kill();
  await produce(200);
  await expect
    .poll(() => lag(first, "messages"), { timeout: 60_000 })
    .toEqual({ "orders:0": 100, "orders:1": 100, "orders:2": 0 });
  const seconds = await lag(first, "seconds");
  expect(seconds["orders:2"]).toBe(0);
  for (const partition of ["orders:0", "orders:1"]) {
    expect(seconds[partition]).toBeGreaterThan(0);
    expect(seconds[partition]).toBeLessThan(120);
  }
  await postgres.start();
  await expect.poll(() => lag(first, "messages"), { timeout: 60_000 }).toEqual(NONE);

  let watching = true;
  const seen = new Set<number>();
  const watched = (async () => {
    while (watching) seen.add((await fetch(`${first.url}/readyz`)).status);
  })();
  {
    await using second = await ingest();
    const shared = async (): Promise<readonly [number, readonly string[]]> => {
      const [one, other] = [Object.keys(await lag(first, "messages")), Object.keys(await lag(second, "messages"))];
      return [Math.min(one.length, other.length), [...one, ...other].sort()];
    };
    await expect.poll(shared, { timeout: 60_000 }).toEqual([1, Object.keys(NONE)]);
  }
  await expect.poll(() => lag(first, "messages"), { timeout: 60_000 }).toEqual(NONE);
  watching = false;
  await watched;
  expect([...seen]).toEqual([200]);
});
