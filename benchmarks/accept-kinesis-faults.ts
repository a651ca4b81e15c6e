import { setTimeout as pause } from "node:timers/promises";
import type { ConsumerPlan } from "../integration/orders/consumer-plan.ts";
import { type ConsumerProcess, startConsumer } from "../integration/orders/consumer-process.ts";
import type { FaultStores } from "../integration/orders/fault-stores.ts";
import { foundAll } from "../integration/orders/found-all.ts";
import { KINESIS_CREDENTIALS, kinesisOrderProducer } from "../integration/orders/kinesis-order-producer.ts";
import { type KinesisServerKind, kinesisServer } from "../integration/services/kinesis-server.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { type FaultFigures, faultFigures, reportFaults } from "./fault-figures.ts";

const CATCH_UP_MS = 180_000;

/**
 * Acceptance: a stream read by two processes into Redis and PostgreSQL, under load, with poison among the records. One is
 * killed with shards in its hands, another one takes over, later one leaves in good order. On kinesalite the shards are
 * split and merged meanwhile; moto never ends a shard that was split, and goes on putting records into it, so that there
 * the shards stay. Nothing is lost or counted twice, and every value is the oracle's. `short`: less.
 */
export async function run(args: readonly string[]): Promise<void> {
  const rounds = args.includes("short") ? 1 : 3;
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  const found: FaultFigures[] = [];
  try {
    for (const kind of ["kinesalite", "moto"] as const) {
      const stores = {
        redis: `redis://127.0.0.1:${redis.port}`,
        postgres: await postgres.createDatabase(),
        keyPrefix: `${kind}:`,
      };
      found.push(await membersChange(kind, stores, rounds));
    }
  } finally {
    await Promise.all([redis.remove(), postgres.remove()]);
  }
  reportFaults(found);
}

async function membersChange(kind: KinesisServerKind, stores: FaultStores, rounds: number): Promise<FaultFigures> {
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
