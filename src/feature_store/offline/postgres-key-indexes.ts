import type { PoolClient } from "pg";
import { storeError } from "../store-error.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import { codeOf } from "./postgres-error.ts";
import { type PostgresEventTable, shortHash } from "./postgres-event-table.ts";
import { quoted } from "./postgres-text.ts";

/** How long another process's work on the indexes of a source is looked at again after, milliseconds. */
const LOOK_MS = 100;
const TOO_LARGE = "54000";

/** The index of a source's events by one view's key and time. Scanned backwards it has each key's latest event first. */
export function keyIndex({ tableName, name }: PostgresEventTable, keyColumns: readonly string[]): KeyIndex {
  return {
    name: `${tableName}$key_${shortHash(keyColumns.join())}`,
    on: (table: string = name) => `${table} (${keyColumns.map(quoted).join(", ")}, _event_time)`,
  };
}

export interface KeyIndex {
  /** Not quoted. */
  readonly name: string;
  /** What follows ON. */
  on(table?: string): string;
}

interface Leaf {
  readonly leaf: string;
  /** What its name ends with. */
  readonly suffix: string;
  /** The leaf's part of the index, if it has one that is whole. */
  readonly has: boolean;
}

/**
 * Makes the indexes that are missing on a table that holds events already, table by table and beside its readers and
 * writers. Resumes what a process that died has left. `client` is in no transaction.
 */
export async function addKeyIndexes(
  client: PoolClient,
  { schema, schemaName, place }: PostgresDatabase,
  table: PostgresEventTable,
  keys: readonly (readonly string[])[],
): Promise<void> {
  const indexes = keys.map((columns) => keyIndex(table, columns));
  const isWhole = async (index: KeyIndex): Promise<boolean> => {
    const found = await client.query(
      "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid AND indisready",
      [`${schema}.${quoted(index.name)}`],
    );
    return found.rowCount === 1;
  };
  const missing: KeyIndex[] = [];
  for (const index of indexes) if (!(await isWhole(index))) missing.push(index);
  if (missing.length === 0) return;
  const lock = [`${schemaName}.${table.tableName}`];
  // Waiting for the lock would be a transaction that CREATE INDEX CONCURRENTLY waits for.
  while (!(await client.query("SELECT pg_try_advisory_lock(hashtextextended($1, 4)) AS got", lock)).rows[0].got) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  try {
    await client.query("SET statement_timeout = 0");
    for (const index of missing) if (!(await isWhole(index))) await add(client, schema, table, index);
    // What was loaded in bulk has no statistics yet, and the planner would not use the index.
    await client.query(`ANALYZE ${table.name}`);
  } catch (cause) {
    if (codeOf(cause) !== TOO_LARGE) throw cause;
    throw storeError(
      "SCHEMA_INCOMPATIBLE",
      `The offline store ${place} cannot index the keys of a view over '${table.declaration.source}': stored events have keys longer than 2,000 bytes.`,
      { cause },
    );
  } finally {
    await client.query("RESET statement_timeout; SELECT pg_advisory_unlock_all()").catch(() => {});
  }
}

async function add(client: PoolClient, schema: string, table: PostgresEventTable, index: KeyIndex): Promise<void> {
  const parent = `${schema}.${quoted(index.name)}`;
  // Without the tables that are there; those to come get theirs from it.
  await client.query(`CREATE INDEX IF NOT EXISTS ${quoted(index.name)} ON ONLY ${index.on()}`);
  const leaves = await client.query<Leaf>(
    `SELECT i.inhrelid::regclass::text AS leaf, right(c.relname, -length($2) - 1) AS suffix,
       EXISTS (
         SELECT 1 FROM pg_inherits ii JOIN pg_index x ON x.indexrelid = ii.inhrelid
         WHERE ii.inhparent = to_regclass($3) AND x.indrelid = i.inhrelid
       ) AS has
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass($1) ORDER BY c.relname`,
    [table.name, table.tableName, parent],
  );
  for (const { leaf, suffix, has } of leaves.rows) {
    if (has) continue;
    const name = `${index.name}_${suffix}`;
    const part = `${schema}.${quoted(name)}`;
    // One that a process which died has left half made.
    await client.query(`DROP INDEX IF EXISTS ${part}`);
    await client.query(`CREATE INDEX CONCURRENTLY ${quoted(name)} ON ${index.on(leaf)}`);
    await client.query(`ALTER INDEX ${parent} ATTACH PARTITION ${part}`);
  }
}
