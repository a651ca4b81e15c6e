import { setTimeout as pause } from "node:timers/promises";
import { type KinesisServerKind, kinesisServer } from "../services/kinesis-server.ts";
import type { ConsumerPlan } from "./consumer-plan.ts";
import { type ConsumerProcess, startConsumer } from "./consumer-process.ts";
import { type FaultFigures, faultFigures } from "./fault-figures.ts";
import type { FaultStores } from "./fault-stores.ts";
import { foundAll } from "./found-all.ts";
import { KINESIS_CREDENTIALS, kinesisOrderProducer } from "./kinesis-order-producer.ts";

const CATCH_UP_MS = 180_000;

/**
 * Two processes read a stream under load; in each round another one joins and the oldest is killed, or leaves, while
 * shards are split and merged, where the stand-in can do that.
 */
export async function kinesisMembersChange(
  kind: KinesisServerKind,
  stores: FaultStores,
  rounds: number,
): Promise<FaultFigures> {
  const since = performance.now();
  const server = await kinesisServer(kind);
  const { endpoint } = server;
  const reshards = kind === "kinesalite";
  const producer = await kinesisOrderProducer(kind, endpoint, { stream: "orders", shards: reshards ? 2 : 6 });
  const members: ConsumerProcess[] = [];
  let names = 0;
  const plan: ConsumerPlan = {
    stream: producer.stream,
    connections: { kinesis: { region: "eu-west-1", endpoint, credentials: KINESIS_CREDENTIALS } },
    stores,
    die: null,
    recovery: true,
    more: {},
  };
  const join = (): ConsumerProcess => {
    const member = startConsumer({ ...plan, more: { holder: `member-${names++}` } });
    members.push(member);
    return member;
  };
  const holdsShards = async (member: ConsumerProcess): Promise<void> => {
    while (member.isAlive() && Object.keys(member.lag()).length === 0) await member.heard();
  };
  let producing = true;
  const sent = (async () => {
    while (producing) {
      await producer.send(100);
      await pause(100);
    }
  })();
  sent.catch(() => {});
  try {
    await Promise.all([join(), join()].map(holdsShards));
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < 2 && reshards; i++) {
        await producer.split();
        await pause(1_000);
      }
      await holdsShards(join());
      // Killed with shards in its hands; others have them once its leases have run out.
      await members.shift()!.kill(round % 2 === 0 ? "SIGKILL" : "SIGTERM");
      for (let i = 0; i < 2 && reshards; i++) {
        await producer.merge();
        await pause(1_000);
      }
    }
    producing = false;
    await sent;
    await foundAll(producer, stores, members, CATCH_UP_MS);
    for (const member of members) await member.kill("SIGTERM");
    const resharded = reshards ? `${2 * rounds} splits, ${2 * rounds} merges, ` : "";
    const fault = `${resharded}${Math.ceil(rounds / 2)} kills -9, ${Math.floor(rounds / 2)} leave, on ${kind}`;
    const figures = await faultFigures(fault, producer, stores, { since });
    process.stderr.write(`${fault}: ${figures.lost} lost, ${figures.twice} twice, ${figures.wrong} wrong\n`);
    return figures;
  } finally {
    producing = false;
    for (const member of members) await member.kill("SIGKILL");
    await producer.close();
    await server.close();
  }
}
