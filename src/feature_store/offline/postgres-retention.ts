import type { PoolClient } from "pg";
import type { HistoryQuery } from "./offline-store.ts";
import { historyDropped } from "./offline-store-errors.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import type { PostgresSources } from "./postgres-sources.ts";
import { millis, timeText } from "./postgres-time.ts";

/** Old history goes table by table, which costs nothing, whatever is in them. */
export interface PostgresRetention {
  dropHistory(source: string, before: number): Promise<number>;
  /** Within a reading's transaction, after its tables were locked. Throws `HISTORY_DROPPED`. */
  check(client: PoolClient, query: HistoryQuery): Promise<void>;
}

const LOCK_MS = 2_000;

interface Leaf {
  readonly leaf: string;
  readonly before: number;
}

export function postgresRetention(database: PostgresDatabase, sources: PostgresSources): PostgresRetention {
  const { schema, schemaName } = database;
  const completeFrom = `CASE WHEN isfinite(complete_from) THEN ${millis("complete_from")} END AS "from"`;

  return {
    async dropHistory(source, before) {
      const { table, parts } = await sources.get(source);
      const from = await database.transaction(async (client) => {
        // It waits for the readers of the source, and others wait behind it: rather later than long.
        await client.query(`SET LOCAL lock_timeout = ${LOCK_MS}`);
        await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", [
          `${schemaName}.${table.tableName}`,
        ]);
        const leaves = await client.query<Leaf>(
          `SELECT leaf, ${millis("before")} AS before FROM (
             SELECT i.inhrelid::regclass::text AS leaf,
               (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''([^'']+)''\\)'))[1]::timestamptz AS before
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass($1)
           ) l WHERE before <= $2::timestamptz ORDER BY before`,
          [table.name, timeText(before)],
        );
        for (const { leaf, before: end } of leaves.rows) {
          // The one of before 2000 stays, empty.
          await client.query(end <= parts.first ? `TRUNCATE ${leaf}` : `DROP TABLE ${leaf}`);
        }
        const last = leaves.rows.at(-1);
        const moved = await client.query<{ from: number | null }>(
          `UPDATE ${schema}.sources SET complete_from = greatest(complete_from, $2::timestamptz) WHERE source = $1
           RETURNING ${completeFrom}`,
          [source, last === undefined ? "-infinity" : timeText(last.before)],
        );
        return moved.rows[0]!.from;
      });
      parts.forget();
      return from ?? Number.NEGATIVE_INFINITY;
    },
    async check(client, query) {
      const found = await client.query<{ from: number | null }>(
        `SELECT ${completeFrom} FROM ${schema}.sources WHERE source = $1`,
        [query.source],
      );
      const from = found.rows[0]?.from ?? null;
      if (from !== null && (query.from === null || query.from < from)) throw historyDropped(query.source, from);
    },
  };
}
