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
 * Acceptance, on kinesalite and on moto: a stream whose shards are split and merged under load, read by two processes
 * into Redis and PostgreSQL, of which one is killed with shards in its hands, and one that joins later leaves in good
 * order; poison among the records. Nothing is lost or counted twice, and every value is the oracle's. `short`: less.
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
      found.push(await reshard(kind, stores, rounds));
    }
  } finally {
    await Promise.all([redis.remove(), postgres.remove()]);
  }
  reportFaults(found);
}

async function reshard(kind: KinesisServerKind, stores: FaultStores, rounds: number): Promise<FaultFigures> {
  const since = performance.now();
  const server = await kinesisServer(kind);
  const { endpoint } = server;
  const producer = await kinesisOrderProducer(kind, endpoint, { stream: "orders", shards: 2 });
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
      await producer.split();
      await pause(1_000);
      await producer.split();
      await holdsShards(join());
      // Killed with shards in its hands; others have them once its leases have run out.
      await members.shift()!.kill(round % 2 === 0 ? "SIGKILL" : "SIGTERM");
      await producer.merge();
      await pause(1_000);
      await producer.merge();
    }
    producing = false;
    await sent;
    await foundAll(producer, stores, members, CATCH_UP_MS);
    for (const member of members) await member.kill("SIGTERM");
    const fault = `${2 * rounds} splits, ${2 * rounds} merges, ${Math.ceil(rounds / 2)} kills, on ${kind}`;
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
