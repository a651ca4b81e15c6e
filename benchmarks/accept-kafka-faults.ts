import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ConsumerPlan } from "../integration/orders/consumer-plan.ts";
import { type ConsumerProcess, caughtUp, startConsumer } from "../integration/orders/consumer-process.ts";
import { kafkaConnections } from "../integration/orders/declarations.ts";
import type { FaultStores } from "../integration/orders/fault-stores.ts";
import { type KafkaOrderProducer, kafkaOrderProducer } from "../integration/orders/kafka-order-producer.ts";
import { moveLeaders } from "../integration/orders/move-leaders.ts";
import { type KafkaCluster, kafkaCluster, QUICK_CLUSTER } from "../integration/services/kafka-cluster.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { type FaultFigures, faultFigures, reportFaults } from "./fault-figures.ts";

const PARTITIONS = 8;
const CATCH_UP_MS = 180_000;

/** What each fault has to itself: a topic, stores, and consumers that must all have caught up at the end. */
interface Run {
  readonly producer: KafkaOrderProducer;
  readonly plan: ConsumerPlan;
  readonly members: ConsumerProcess[];
  join(more?: Partial<ConsumerPlan>): ConsumerProcess;
  /** Sends orders all the time until the returned function is called. */
  load(): () => Promise<void>;
}

interface Fault {
  readonly fault: string;
  readonly topic: string;
  readonly groupProtocol?: "classic" | "consumer";
  readonly embedded?: true;
  happen(run: Run): Promise<void>;
}

/**
 * Acceptance: three brokers, and one fault after the other, each with a topic and stores of its own, poison and aborted
 * transactions among its messages: kills, outages of either store for 30 s, processes that join and leave in groups of
 * both protocols, a broker that is killed and restarted, leaders that move. Afterwards nothing is lost or counted twice,
 * and every value is the oracle's. `short` does little of each, `shared` only what is on Redis and PostgreSQL.
 */
export async function run(args: readonly string[]): Promise<void> {
  const short = args.includes("short");
  const rounds = short ? 3 : 20;
  const outageMs = short ? 3_000 : 30_000;
  const cluster = await kafkaCluster({ brokers: 3, properties: QUICK_CLUSTER });
  const folder = await mkdtemp(join(tmpdir(), "millrace-kafka-faults-"));
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  const found: FaultFigures[] = [];
  const storesOf = async ({ topic, embedded }: Fault): Promise<FaultStores> => {
    if (embedded) return { folder: join(folder, topic) };
    const url = await postgres.createDatabase();
    return { redis: `redis://127.0.0.1:${redis.port}`, postgres: url, keyPrefix: `${topic}:` };
  };
  const together = async (faults: readonly Fault[]): Promise<void> => {
    found.push(...(await Promise.all(faults.map(async (fault) => runFault(cluster, fault, await storesOf(fault))))));
  };
  const outage = (fault: string, topic: string, server: { kill(): Promise<void>; start(): Promise<void> }): Fault => ({
    fault,
    topic,
    async happen({ join: joins, load }) {
      await reads(joins());
      const stop = load();
      await server.kill();
      await pause(outageMs);
      await server.start();
      await pause(outageMs / 10);
      await stop();
    },
  });
  const comingAndGoing = (groupProtocol: "classic" | "consumer"): Fault => ({
    fault: `${rounds} processes join and leave under load, ${groupProtocol} group`,
    topic: `members-${groupProtocol}`,
    groupProtocol,
    happen: (one) => joinAndLeave(one, rounds),
  });
  const kills: Fault = {
    fault: `${rounds} kills -9, embedded stores`,
    topic: "kills",
    embedded: true,
    happen: (one) => killAll(one, rounds),
  };
  const sharedKills: Fault = {
    fault: `${rounds} kills -9, Redis + PostgreSQL`,
    topic: "kills-shared",
    happen: (one) => killAll(one, rounds),
  };
  try {
    await together([
      ...(args.includes("shared") ? [] : [kills]),
      outage(`Redis gone for ${outageMs / 1_000} s, with all that it held`, "without-redis", redis),
    ]);
    await together([sharedKills]);
    await together([outage(`PostgreSQL killed, gone for ${outageMs / 1_000} s`, "without-postgres", postgres)]);
    await together([comingAndGoing("classic"), comingAndGoing("consumer")]);
    await together([leadersMoved(cluster, short ? 1 : 3)]);
    await together([brokerKilled(cluster)]);
  } finally {
    await Promise.all([redis.remove(), postgres.remove(), cluster.close()]);
    await rm(folder, { recursive: true, force: true });
  }
  reportFaults(found);
}

async function runFault(cluster: KafkaCluster, one: Fault, stores: FaultStores): Promise<FaultFigures> {
  const since = performance.now();
  const { fault, topic, groupProtocol } = one;
  const replicas = topic === "leaders" ? 2 : 3;
  const producer = await kafkaOrderProducer(cluster.brokers, { topic, partitions: PARTITIONS, replicas });
  const connections = kafkaConnections(cluster.brokers, topic, groupProtocol);
  const plan: ConsumerPlan = { stream: producer.stream, connections, stores, die: null, recovery: true, more: {} };
  const members: ConsumerProcess[] = [];
  let names = 0;
  const join: Run["join"] = (more) => {
    const shared = one.embedded ? {} : { holder: `member-${names++}` };
    const member = startConsumer({ ...plan, more: shared, ...more });
    members.push(member);
    return member;
  };
  try {
    await one.happen({ producer, plan, members, join, load: () => load(producer) });
    await caughtUp(members, PARTITIONS, CATCH_UP_MS);
    for (const member of members) await member.kill("SIGTERM");
    const figures = await faultFigures(fault, producer, stores, { since, besides: `${producer.aborted} taken back` });
    process.stderr.write(`${fault}: ${figures.lost} lost, ${figures.twice} twice, ${figures.wrong} wrong\n`);
    return figures;
  } finally {
    for (const member of members) await member.kill("SIGKILL");
    await producer.close();
  }
}

function load(producer: KafkaOrderProducer): () => Promise<void> {
  let producing = true;
  const sent = (async () => {
    while (producing) {
      await producer.send(100);
      await pause(50);
    }
  })();
  // Whoever stops it gets the error; until then the servers of this run must not be left behind.
  sent.catch(() => {});
  return async () => {
    producing = false;
    await sent;
  };
}

async function reads(member: ConsumerProcess): Promise<void> {
  while (member.isAlive() && Object.keys(member.lag()).length === 0) await member.heard();
}

/** One process after the other, each of which kills itself at a random passage of a chosen point. */
async function killAll({ producer, members, join: joins }: Run, rounds: number): Promise<void> {
  const points = ["before-commit", "after-commit", "between-writes", "before-applied", "after-applied"];
  for (let i = 0; i < rounds; i++) {
    const die = { point: points[i % points.length]!, after: Math.floor(Math.random() * 6) };
    const consumer = joins({ die });
    await producer.send(2_000);
    // Until it has passed there so often.
    while (consumer.isAlive()) await Promise.all([producer.send(100), pause(50)]);
    members.pop();
  }
  joins();
}

async function joinAndLeave({ members, join: joins, load: loads }: Run, rounds: number): Promise<void> {
  joins();
  joins();
  const stop = loads();
  for (let i = 0; i < rounds; i++) {
    await reads(joins());
    await members.shift()!.kill(i % 2 === 0 ? "SIGKILL" : "SIGTERM");
  }
  await stop();
}

/** A producer that was cut off does not know what it sent: it stops before, and the consumers are at work. */
function brokerKilled(cluster: KafkaCluster): Fault {
  return {
    fault: "each broker killed and restarted, one after the other",
    topic: "brokers",
    async happen({ producer, join: joins }) {
      joins();
      await reads(joins());
      for (const broker of cluster.brokers.keys()) {
        await producer.send(8_000);
        await cluster.kill(broker);
        await pause(3_000);
        await cluster.start(broker);
        await producer.settle();
      }
      await producer.send(2_000);
    },
  };
}

function leadersMoved(cluster: KafkaCluster, times: number): Fault {
  return {
    fault: `every partition moved to other brokers, ${times} times`,
    topic: "leaders",
    async happen({ producer, join: joins }) {
      joins();
      await reads(joins());
      for (let i = 0; i < times; i++) {
        await producer.send(8_000);
        await moveLeaders(cluster.brokers, producer.topic);
        await producer.settle();
      }
      await producer.send(2_000);
    },
  };
}
