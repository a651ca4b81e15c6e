import { firstFreeLease, type PartitionLeases } from "./partition-leases.ts";
import type { PostgresDatabase } from "./postgres-database.ts";

/** Leases by the server's clock, which all processes share. */
export function postgresLeases(database: PostgresDatabase): PartitionLeases {
  const { schema, schemaName } = database;
  const expiry = "clock_timestamp() + $4 * interval '1 millisecond'";
  return {
    acquire: async (source, prefix, holder, forMs) =>
      database.transaction(async (client) => {
        await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 5))", [`${schemaName}.${source}`]);
        const held = await client.query<{ partition: string; holder: string }>(
          `SELECT "partition", holder FROM ${schema}.leases WHERE source = $1 AND expires_at > clock_timestamp()`,
          [source],
        );
        const partition = firstFreeLease(prefix, holder, new Map(held.rows.map((row) => [row.partition, row.holder])));
        await client.query(
          `INSERT INTO ${schema}.leases (source, "partition", holder, expires_at) VALUES ($1, $2, $3, ${expiry})
           ON CONFLICT (source, "partition") DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at`,
          [source, partition, holder, forMs],
        );
        return partition;
      }),
    async claim(source, partition, holder, forMs) {
      const claimed = await database.repeatable((client) =>
        client.query(
          `INSERT INTO ${schema}.leases AS l (source, "partition", holder, expires_at) VALUES ($1, $2, $3, ${expiry})
           ON CONFLICT (source, "partition") DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
           WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()`,
          [source, partition, holder, forMs],
        ),
      );
      return claimed.rowCount === 1;
    },
    async holders(source) {
      const held = await database.repeatable((client) =>
        client.query<{ partition: string; holder: string }>(
          `SELECT "partition", holder FROM ${schema}.leases WHERE source = $1 AND expires_at > clock_timestamp()`,
          [source],
        ),
      );
      return new Map(held.rows.map((row) => [row.partition, row.holder]));
    },
    async renew(source, partition, holder, forMs) {
      const renewed = await database.repeatable((client) =>
        client.query(
          `UPDATE ${schema}.leases SET expires_at = ${expiry}
           WHERE source = $1 AND "partition" = $2 AND holder = $3 AND expires_at > clock_timestamp()`,
          [source, partition, holder, forMs],
        ),
      );
      return renewed.rowCount === 1;
    },
    async release(source, partition, holder) {
      await database.repeatable((client) =>
        client.query(`DELETE FROM ${schema}.leases WHERE source = $1 AND "partition" = $2 AND holder = $3`, [
          source,
          partition,
          holder,
        ]),
      );
    },
  };
}
