import type { FaultFigures } from "../integration/orders/fault-figures.ts";
import { kinesisMembersChange } from "../integration/orders/kinesis-faults.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { reportFaults } from "./report-faults.ts";

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
      found.push(await kinesisMembersChange(kind, stores, rounds));
    }
  } finally {
    await Promise.all([redis.remove(), postgres.remove()]);
  }
  reportFaults(found);
}
