import { pubsubStorm, STORMY } from "../integration/orders/pubsub-faults.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { pubsubServer } from "../integration/services/pubsub-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { reportFaults } from "./report-faults.ts";

/**
 * Acceptance, on Google's pstest, into Redis and PostgreSQL: a storm of redeliveries (a third of the acknowledgements
 * and half of the extensions get lost, deadlines are two seconds, another subscriber takes messages and gives each back
 * at once), consumers killed under it, poison among the messages. Afterwards every message is acknowledged, nothing is
 * lost or counted twice, and every value is the oracle's. `short`: less of each.
 */
export async function run(args: readonly string[]): Promise<void> {
  const short = args.includes("short");
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  const server = await pubsubServer(STORMY);
  try {
    const stores = {
      redis: `redis://127.0.0.1:${redis.port}`,
      postgres: await postgres.createDatabase(),
      keyPrefix: "storm:",
    };
    reportFaults([await pubsubStorm(server, stores, short ? 2 : 10)]);
  } finally {
    await Promise.all([redis.remove(), postgres.remove(), server.close()]);
  }
}
