import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FaultFigures } from "../integration/orders/fault-figures.ts";
import type { FaultStores } from "../integration/orders/fault-stores.ts";
import {
  brokersKilled,
  consumersKilled,
  type KafkaFault,
  leadersMoved,
  membersChange,
  runKafkaFault,
  storeAway,
} from "../integration/orders/kafka-faults.ts";
import { kafkaCluster, QUICK_CLUSTER } from "../integration/services/kafka-cluster.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { reportFaults } from "./report-faults.ts";

/**
 * Acceptance: three brokers, and one fault after the other, each with a topic and stores of its own, poison and aborted
 * transactions among its messages: kills, outages of either store for 30 s, processes that join and leave in groups of
 * both protocols, a broker that is killed and restarted, leaders that move. Afterwards nothing is lost or counted twice,
 * and every value is the oracle's. `short` does little of each, `shared` only what is on Redis and PostgreSQL; to
 * choose of them `embedded`, `redis`, `killed`, `postgres`, `members`, `leaders`, `brokers`.
 */
export async function run(args: readonly string[]): Promise<void> {
  const short = args.includes("short");
  const rounds = short ? 3 : 20;
  const outageMs = short ? 3_000 : 30_000;
  const cluster = await kafkaCluster({ brokers: 3, properties: QUICK_CLUSTER });
  const folder = await mkdtemp(join(tmpdir(), "millrace-kafka-faults-"));
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  const found: FaultFigures[] = [];
  const storesOf = async ({ topic, embedded }: KafkaFault): Promise<FaultStores> => {
    if (embedded) return { folder: join(folder, topic) };
    const url = await postgres.createDatabase();
    return { redis: `redis://127.0.0.1:${redis.port}`, postgres: url, keyPrefix: `${topic}:` };
  };
  const together = async (faults: readonly KafkaFault[]): Promise<void> => {
    found.push(
      ...(await Promise.all(faults.map(async (fault) => runKafkaFault(cluster, fault, await storesOf(fault))))),
    );
  };
  const away = (what: string, server: { kill(): Promise<void>; start(): Promise<void> }): KafkaFault =>
    storeAway(what, `without-${what.split(",")[0]!.toLowerCase()}`, { server, forMs: outageMs });
  const parts: Readonly<Record<string, readonly KafkaFault[]>> = {
    embedded: args.includes("shared") ? [] : [consumersKilled("killed", rounds, true)],
    redis: [away("Redis, with all that it held,", redis)],
    killed: [consumersKilled("killed-shared", rounds, false)],
    postgres: [away("PostgreSQL", postgres)],
    members: [membersChange(rounds, "classic"), membersChange(rounds, "consumer")],
    leaders: [leadersMoved(cluster, short ? 1 : 3)],
    brokers: [brokersKilled(cluster)],
  };
  const chosen = Object.keys(parts).filter((part) => args.includes(part));
  try {
    for (const part of chosen.length > 0 ? chosen : Object.keys(parts)) await together(parts[part]!);
  } finally {
    await Promise.all([redis.remove(), postgres.remove(), cluster.close()]);
    await rm(folder, { recursive: true, force: true });
  }
  reportFaults(found);
}
