import { setTimeout as pause } from "node:timers/promises";
import type { ConsumerPlan } from "../integration/orders/consumer-plan.ts";
import { type ConsumerProcess, startConsumer } from "../integration/orders/consumer-process.ts";
import type { FaultStores } from "../integration/orders/fault-stores.ts";
import { foundAll } from "../integration/orders/found-all.ts";
import { pubsubOrderProducer } from "../integration/orders/pubsub-order-producer.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { type PubsubServer, pubsubServer } from "../integration/services/pubsub-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { type FaultFigures, faultFigures, reportFaults } from "./fault-figures.ts";

const CATCH_UP_MS = 150_000;
const ACK_DEADLINE_SECONDS = 2;

/**
 * Acceptance, on Google's pstest, into Redis and PostgreSQL: a storm of redeliveries (a third of the acknowledgements
 * and half of the extensions get lost, deadlines are two seconds, another subscriber takes messages and gives each back
 * at once), consumers killed under it, poison among the messages. Afterwards every message is acknowledged, nothing is
 * lost or counted twice, and every value is the oracle's. `short`: less of each.
 */
export async function run(args: readonly string[]): Promise<void> {
  const short = args.includes("short");
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  const server = await pubsubServer({
    minAckDeadlineSeconds: ACK_DEADLINE_SECONDS,
    loseAcks: 3,
    loseExtensions: 2,
  });
  try {
    const stores = {
      redis: `redis://127.0.0.1:${redis.port}`,
      postgres: await postgres.createDatabase(),
      keyPrefix: "storm:",
    };
    reportFaults([await storm(server, stores, short ? 2 : 10)]);
  } finally {
    await Promise.all([redis.remove(), postgres.remove(), server.close()]);
  }
}

async function storm(server: PubsubServer, stores: FaultStores, kills: number): Promise<FaultFigures> {
  const since = performance.now();
  const producer = await pubsubOrderProducer(server.address, {
    subscription: "orders",
    ackDeadlineSeconds: ACK_DEADLINE_SECONDS,
  });
  const plan: ConsumerPlan = {
    stream: producer.stream,
    connections: { pubsub: { projectId: "tests", emulator: server.address } },
    stores,
    die: null,
    recovery: true,
    more: {},
  };
  const members: ConsumerProcess[] = [];
  let names = 0;
  const join = (die: ConsumerPlan["die"] = null): ConsumerProcess => {
    const member = startConsumer({ ...plan, die, more: { holder: `member-${names++}` } });
    members.push(member);
    return member;
  };
  const points = ["after-commit", "before-commit", "between-writes", "after-applied"];
  const calm = producer.nackAll();
  try {
    join();
    for (let i = 0; i < kills; i++) {
      const dying = join({ point: points[i % points.length]!, after: i % 3 });
      const until = dying.ended.then(() => true);
      while (!(await Promise.race([until, pause(100, false)]))) await producer.send(100);
      members.splice(members.indexOf(dying), 1);
    }
    await calm();
    await foundAll(producer, stores, members, CATCH_UP_MS);
    // What was acknowledged and lost comes again until an acknowledgement arrives.
    const deadline = Date.now() + CATCH_UP_MS;
    let seen = await server.deliveries();
    while (seen.unacknowledged > 0 && Date.now() < deadline) {
      await pause(500);
      seen = await server.deliveries();
    }
    for (const member of members) await member.kill("SIGTERM");
    const fault = `redelivery storm, ${kills} kills -9`;
    const besides = `${seen.messages} messages delivered ${seen.deliveries} times, ${seen.lostAcks} acknowledgements and ${seen.lostExtensions} extensions lost, ${seen.unacknowledged} left unacknowledged`;
    return await faultFigures(fault, producer, stores, { since, besides });
  } finally {
    for (const member of members) await member.kill("SIGKILL");
    await producer.close();
  }
}
