import { setTimeout as pause } from "node:timers/promises";
import type { PubsubServer } from "../services/pubsub-server.ts";
import type { ConsumerPlan } from "./consumer-plan.ts";
import { type ConsumerProcess, startConsumer } from "./consumer-process.ts";
import { type FaultFigures, faultFigures } from "./fault-figures.ts";
import type { FaultStores } from "./fault-stores.ts";
import { foundAll } from "./found-all.ts";
import { pubsubOrderProducer } from "./pubsub-order-producer.ts";

const CATCH_UP_MS = 150_000;
const ACK_DEADLINE_SECONDS = 2;

/** A server that makes a storm: a third of the acknowledgements and half of the extensions of deadlines get lost. */
export const STORMY = { minAckDeadlineSeconds: ACK_DEADLINE_SECONDS, loseAcks: 3, loseExtensions: 2 } as const;

/** Consumers are killed one after the other while messages come again and again. */
export async function pubsubStorm(server: PubsubServer, stores: FaultStores, kills: number): Promise<FaultFigures> {
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
