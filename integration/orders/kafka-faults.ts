import { setTimeout as pause } from "node:timers/promises";
import type { KafkaCluster } from "../services/kafka-cluster.ts";
import type { ConsumerPlan } from "./consumer-plan.ts";
import { type ConsumerProcess, caughtUp, startConsumer } from "./consumer-process.ts";
import { kafkaConnections } from "./declarations.ts";
import { type FaultFigures, faultFigures } from "./fault-figures.ts";
import type { FaultStores } from "./fault-stores.ts";
import { type KafkaOrderProducer, kafkaOrderProducer } from "./kafka-order-producer.ts";
import { moveLeaders } from "./move-leaders.ts";

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

/** Something that goes wrong while orders are read. */
export interface KafkaFault {
  readonly fault: string;
  readonly topic: string;
  readonly groupProtocol?: "classic" | "consumer";
  readonly embedded?: true;
  happen(run: Run): Promise<void>;
}

/** Lets it happen, waits until everything is read, and compares. */
export async function runKafkaFault(
  cluster: KafkaCluster,
  one: KafkaFault,
  stores: FaultStores,
): Promise<FaultFigures> {
  const since = performance.now();
  const { fault, topic, groupProtocol } = one;
  const replicas = topic === "leaders" ? 2 : 3;
  const producer = await kafkaOrderProducer(cluster.brokers, { topic, partitions: PARTITIONS, replicas, often: true });
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
    await caughtUp(members, producer.lastOffsets, CATCH_UP_MS);
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

async function untilItReads(member: ConsumerProcess): Promise<void> {
  while (member.isAlive() && Object.keys(member.lag()).length === 0) await member.heard();
}

/** One process after the other, each of which kills itself at a random passage of a chosen point. */
export function consumersKilled(topic: string, rounds: number, embedded: boolean): KafkaFault {
  const points = ["before-commit", "after-commit", "between-writes", "before-applied", "after-applied"];
  return {
    fault: `${rounds} kills -9, ${embedded ? "embedded stores" : "Redis + PostgreSQL"}`,
    topic,
    ...(embedded ? { embedded } : {}),
    async happen({ producer, members, join: joins }) {
      for (let i = 0; i < rounds; i++) {
        const die = { point: points[i % points.length]!, after: Math.floor(Math.random() * 6) };
        const consumer = joins({ die });
        await producer.send(2_000);
        // Until it has passed there so often.
        while (consumer.isAlive()) await Promise.all([producer.send(100), pause(50)]);
        members.pop();
      }
      joins();
    },
  };
}

export function membersChange(rounds: number, groupProtocol: "classic" | "consumer"): KafkaFault {
  return {
    fault: `${rounds} processes join and leave under load, ${groupProtocol} group`,
    topic: `members-${groupProtocol}`,
    groupProtocol,
    async happen({ members, join: joins, load: loads }) {
      joins();
      joins();
      const stop = loads();
      for (let i = 0; i < rounds; i++) {
        await untilItReads(joins());
        await members.shift()!.kill(i % 2 === 0 ? "SIGKILL" : "SIGTERM");
      }
      await stop();
    },
  };
}

/** A store that is away, killed, while orders go on coming. */
export function storeAway(
  what: string,
  topic: string,
  { server, forMs }: { readonly server: { kill(): Promise<void>; start(): Promise<void> }; readonly forMs: number },
): KafkaFault {
  return {
    fault: `${what} killed, away for ${forMs / 1_000} s`,
    topic,
    async happen({ join: joins, load: loads }) {
      await untilItReads(joins());
      const stop = loads();
      await server.kill();
      await pause(forMs);
      await server.start();
      await pause(forMs / 10);
      await stop();
    },
  };
}

/** A producer that was cut off does not know what it sent: it stops before, and the consumers are at work. */
export function brokersKilled(cluster: KafkaCluster): KafkaFault {
  return {
    fault: "each broker killed and restarted, one after the other",
    topic: "brokers",
    async happen({ producer, join: joins }) {
      joins();
      await untilItReads(joins());
      for (const broker of cluster.brokers.keys()) {
        await producer.send(4_000);
        await cluster.kill(broker);
        await pause(2_000);
        await cluster.start(broker);
        await producer.settle();
      }
      await producer.send(2_000);
    },
  };
}

export function leadersMoved(cluster: KafkaCluster, times: number): KafkaFault {
  return {
    fault: `every partition moved to other brokers, ${times} times`,
    topic: "leaders",
    async happen({ producer, join: joins }) {
      joins();
      await untilItReads(joins());
      for (let i = 0; i < times; i++) {
        await producer.send(4_000);
        await moveLeaders(cluster.brokers, producer.topic);
        await producer.settle();
      }
      await producer.send(2_000);
    },
  };
}
