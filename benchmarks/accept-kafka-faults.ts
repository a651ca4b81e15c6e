import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { checkOrders } from "../integration/kafka/check-orders.ts";
import type { ConsumerPlan } from "../integration/kafka/consumer-plan.ts";
import { type ConsumerProcess, caughtUp, startConsumer } from "../integration/kafka/consumer-process.ts";
import { declareOrders } from "../integration/kafka/declarations.ts";
import { type FaultStores, openFaultStores } from "../integration/kafka/fault-stores.ts";
import { type OrderProducer, orderProducer } from "../integration/kafka/order-producer.ts";
import { type KafkaCluster, kafkaCluster } from "../integration/services/kafka-cluster.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";

const PARTITIONS = 8;
const CATCH_UP_MS = 180_000;

/**
 * Acceptance: three brokers; consumers that are killed 20 times on the embedded stores, and on Redis and PostgreSQL
 * processes that join and leave 20 times under load, brokers that are killed and restarted, so that leaders move, and
 * outages of 30 seconds of either store; among the messages poison and aborted transactions. Afterwards nothing is lost
 * or counted twice, and every value is the oracle's. `short` does a few of each, `shared` only what is on Redis and PostgreSQL.
 */
export async function run(args: readonly string[]): Promise<void> {
  const short = args.includes("short");
  const rounds = short ? (args.includes("shared") ? 1 : 4) : 20;
  const outageMs = short ? 3_000 : 30_000;
  const cluster = await kafkaCluster({ brokers: 3, properties: { "group.min.session.timeout.ms": "1000" } });
  const folder = await mkdtemp(join(tmpdir(), "millrace-kafka-faults-"));
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  try {
    if (!args.includes("shared")) await kills(cluster, { folder: join(folder, "embedded") }, rounds);
    const shared = {
      redis: `redis://127.0.0.1:${redis.port}`,
      postgres: await postgres.createDatabase(),
      keyPrefix: "faults:",
    };
    await comingAndGoing(cluster, shared, rounds, [
      {
        what: `Redis gone for ${outageMs / 1_000} s, and all that it held`,
        async happen() {
          await redis.kill();
          await pause(outageMs);
          await redis.start();
        },
      },
      {
        what: `PostgreSQL killed, gone for ${outageMs / 1_000} s`,
        async happen() {
          await postgres.kill();
          await pause(outageMs);
          await postgres.start();
        },
      },
      ...[0, 1, 2].map((broker) => ({
        what: `broker ${broker} killed and restarted, its partitions led by others meanwhile`,
        ofBrokers: true as const,
        async happen() {
          await cluster.kill(broker);
          await pause(outageMs / 10);
          await cluster.start(broker);
        },
      })),
    ]);
  } finally {
    await Promise.all([redis.remove(), postgres.remove(), cluster.close()]);
    await rm(folder, { recursive: true, force: true });
  }
}

/** One process after the other, each killed at a random moment. */
async function kills(cluster: KafkaCluster, stores: FaultStores, rounds: number): Promise<void> {
  const producer = await orderProducer(cluster.brokers, { topic: "killed", partitions: PARTITIONS, replicas: 3 });
  const plan = planOf(cluster, producer, stores);
  const points = ["before-commit", "after-commit", "between-writes", "before-applied", "after-applied"];
  for (let i = 0; i < rounds; i++) {
    const die = { point: points[i % points.length]!, after: Math.floor(Math.random() * 6) };
    const consumer = startConsumer({ ...plan, die });
    await producer.send(2_000);
    await consumer.ended;
  }
  await finish(`${rounds} kills -9, embedded stores`, producer, stores, [startConsumer(plan)]);
}

async function comingAndGoing(
  cluster: KafkaCluster,
  stores: FaultStores,
  rounds: number,
  outages: readonly { readonly what: string; happen(): Promise<void>; readonly ofBrokers?: true }[],
): Promise<void> {
  const producer = await orderProducer(cluster.brokers, { topic: "shared", partitions: PARTITIONS, replicas: 3 });
  const plan = planOf(cluster, producer, stores);
  let names = 0;
  const join = (): ConsumerProcess => startConsumer({ ...plan, more: { holder: `member-${names++}` } });
  const members = [join(), join()];
  let producing = true;
  const produce = (): Promise<void> => {
    const sent = (async () => {
      while (producing) {
        await producer.send(200);
        await pause(50);
      }
    })();
    // Whoever awaits it gets the error; until then the servers of this run must not be left behind.
    sent.catch(() => {});
    return sent;
  };
  let load = produce();
  for (let i = 0; i < rounds; i++) {
    members.push(join());
    await reads(members.at(-1)!);
    await members.shift()!.kill(i % 2 === 0 ? "SIGKILL" : "SIGTERM");
  }
  for (const { what, happen, ofBrokers } of outages) {
    process.stdout.write(`${what}\n`);
    if (!ofBrokers) {
      await happen();
      continue;
    }
    // A producer that was cut off does not know what it sent: it stops before, and the consumers are at work.
    producing = false;
    await load;
    await producer.send(10_000);
    await happen();
    await producer.settle();
    producing = true;
    load = produce();
  }
  producing = false;
  await load;
  await finish(`${rounds} joins and leaves, ${outages.length} outages, Redis + PostgreSQL`, producer, stores, members);
}

function planOf(cluster: KafkaCluster, producer: OrderProducer, stores: FaultStores): ConsumerPlan {
  const { topic } = producer;
  const { brokers } = cluster;
  return { topic, brokers, stores, groupProtocol: "classic", die: null, recovery: true, more: {} };
}

async function reads(member: ConsumerProcess): Promise<void> {
  while (member.isAlive() && Object.keys(member.lag()).length === 0) await member.heard();
}

async function finish(
  what: string,
  producer: OrderProducer,
  stores: FaultStores,
  members: readonly ConsumerProcess[],
): Promise<void> {
  await caughtUp(members, PARTITIONS, CATCH_UP_MS);
  for (const member of members) await member.kill("SIGTERM");
  await producer.close();
  const opened = await openFaultStores(stores);
  const found = await checkOrders(opened, declareOrders(producer.topic), producer.produced);
  await opened.close();
  const letters = found.deadLetters - producer.poison;
  process.stdout.write(
    `${what}: ${found.events} events, ${found.lost} lost, ${found.twice} twice, ${letters === 0 ? "every" : `${letters} more than each`} ` +
      `poison message set aside once (${producer.poison}), ${found.mismatches} of ${found.values} values wrong (aims: 0)\n`,
  );
  for (const example of found.examples) process.stdout.write(`  ${example}\n`);
  if (found.lost + found.twice + found.mismatches + Math.abs(letters) > 0) process.exitCode = 1;
}
