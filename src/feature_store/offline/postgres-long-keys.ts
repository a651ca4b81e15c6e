import type { PoolClient } from "pg";
import { utf8Length } from "../../feature_engineering/encoding/utf8.ts";
import type { DeadLetter, LoggedEvent, OwnedPartition } from "../../feature_engineering/engine/event-log.ts";
import type { PostgresEventTable } from "./postgres-event-table.ts";
import { rowDeadLetter } from "./row-dead-letter.ts";

/** Bytes: an entry of an index takes up to 2,704, in which a time and the heads of values are. */
const LONGEST = 2_000;

/** Sets aside what the indexes of ids and of views' keys cannot hold. Asked for once an index has refused an entry. */
export async function withoutLongKeys(
  client: PoolClient,
  { declaration, name }: PostgresEventTable,
  owned: OwnedPartition,
  events: readonly LoggedEvent[],
): Promise<{ readonly events: readonly LoggedEvent[]; readonly letters: readonly DeadLetter[] }> {
  const indexed = await client.query<{ attname: string }>(
    `SELECT DISTINCT a.attname::text AS attname FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indexrelid
     WHERE x.indrelid = to_regclass($1)`,
    [name],
  );
  const names = new Set(indexed.rows.map((row) => row.attname));
  const places = declaration.columns.flatMap((column, index) => (names.has(column.name) ? [index] : []));
  const bytes = (value: unknown): number => (typeof value === "string" ? utf8Length(value) : 0);
  const fits = ({ id, row }: LoggedEvent): boolean =>
    bytes(id) <= LONGEST && places.reduce((sum, place) => sum + bytes(row[place]), 0) <= LONGEST;
  return {
    events: events.filter(fits),
    letters: events
      .filter((event) => !fits(event))
      .map((event) =>
        rowDeadLetter(owned, declaration.columns, event, {
          code: "KEY_TOO_LONG",
          reason: `Its id, or the values that are keys of views, are longer than ${LONGEST} bytes, which PostgreSQL cannot index: send shorter ones, a hash for example.`,
        }),
      ),
  };
}
