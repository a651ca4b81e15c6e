import type { PoolClient } from "pg";
import type { SourceTable } from "./offline-store.ts";
import { sourceUnknown } from "./offline-store-errors.ts";
import type { PartitionInterval, PostgresDatabase } from "./postgres-database.ts";
import { eventTableName, type PostgresEventTable, postgresEventTable } from "./postgres-event-table.ts";
import { addKeyIndexes, keyIndex } from "./postgres-key-indexes.ts";
import { quoted, textLiteral } from "./postgres-text.ts";
import { type TimePartitions, timePartitions } from "./postgres-time-partitions.ts";
import { compareSchemas, conditionFailed } from "./schema-compatibility.ts";

/** What is known of one source. */
export interface PostgresSource {
  readonly table: PostgresEventTable;
  readonly parts: TimePartitions;
  /** How many more commits look for known ids before they insert: those after one that met some. */
  lookFirst: number;
  /** Whether commits measure keys, as one was too long once. */
  measures: boolean;
}

/** The declared sources and their tables. */
export interface PostgresSources {
  /** Throws `SOURCE_UNKNOWN`. */
  get(source: string): Promise<PostgresSource>;
  /** Within a job: null if there is none. */
  find(client: PoolClient, source: string): Promise<PostgresSource | null>;
  prepare(declaration: SourceTable): Promise<void>;
}

interface StoredSource {
  readonly table_name: string;
  readonly declaration: string;
  readonly partition_by: PartitionInterval;
}

export function postgresSources(database: PostgresDatabase): PostgresSources {
  const { schema } = database;
  const sources = new Map<string, PostgresSource>();

  function keep(declaration: SourceTable, stored: Pick<StoredSource, "table_name" | "partition_by">): PostgresSource {
    const made: PostgresSource = {
      table: postgresEventTable(schema, declaration, stored.table_name),
      parts: timePartitions(database, stored.table_name, stored.partition_by),
      lookFirst: 0,
      measures: false,
    };
    sources.set(declaration.source, made);
    return made;
  }

  async function stored(client: PoolClient, source: string): Promise<StoredSource | undefined> {
    const result = await client.query<StoredSource>(
      `SELECT table_name, declaration, partition_by FROM ${schema}.sources WHERE source = $1`,
      [source],
    );
    return result.rows[0];
  }

  async function create(client: PoolClient, declaration: SourceTable): Promise<StoredSource> {
    const tableName = eventTableName(declaration.source);
    const table = postgresEventTable(schema, declaration, tableName);
    const { edges } = timePartitions(database, tableName, database.partitionBy);
    const ids = declaration.hasId
      ? `CREATE UNIQUE INDEX ${quoted(`${tableName}$id`)} ON ${table.name} (_event_time, _event_id);`
      : "";
    await client.query(
      `CREATE TABLE ${table.name} (${table.ddl}) PARTITION BY RANGE (_event_time);
       ${ids}
       CREATE INDEX ${quoted(`${tableName}$offset`)} ON ${table.name} (_partition_id, _offset);
       ${edges};`,
    );
    for (const keyColumns of declaration.keys ?? []) {
      const index = keyIndex(table, keyColumns);
      await client.query(`CREATE INDEX IF NOT EXISTS ${quoted(index.name)} ON ${index.on()}`);
    }
    const made = { table_name: tableName, partition_by: database.partitionBy, declaration: plainText(declaration) };
    await client.query(
      `INSERT INTO ${schema}.sources (source, table_name, declaration, partition_by) VALUES ($1, $2, $3, $4)`,
      [declaration.source, made.table_name, made.declaration, made.partition_by],
    );
    return made;
  }

  /** Brings the table to the declaration. */
  async function change(client: PoolClient, before: StoredSource, next: SourceTable): Promise<StoredSource> {
    const declaration = JSON.parse(before.declaration) as SourceTable;
    const table = postgresEventTable(schema, declaration, before.table_name);
    if (await isEmpty(client, table.name)) {
      // Nobody may insert meanwhile.
      await client.query(`LOCK TABLE ${table.name} IN ACCESS EXCLUSIVE MODE`);
      if (await isEmpty(client, table.name)) {
        await client.query(`DROP TABLE ${table.name}`);
        await client.query(`DELETE FROM ${schema}.sources WHERE source = $1`, [next.source]);
        return create(client, next);
      }
    }
    const { added, conditions } = compareSchemas(declaration, next);
    for (const condition of conditions) {
      const column = quoted(condition.column);
      if (condition.noNulls && !(await isEmpty(client, `${table.name} WHERE ${column} IS NULL`))) {
        throw conditionFailed(next.source, condition);
      }
      const values = condition.values?.map(textLiteral).join(", ");
      if (values !== undefined && !(await isEmpty(client, `${table.name} WHERE ${column} NOT IN (${values})`))) {
        throw conditionFailed(next.source, { ...condition, noNulls: false });
      }
    }
    const { columns } = postgresEventTable(schema, next, before.table_name);
    if (added.length > 0) {
      const additions = added.map(({ name }) => `ADD COLUMN ${quoted(name)} ${columns.get(name)!.sql}`);
      await client.query(`ALTER TABLE ${table.name} ${additions.join(", ")}`);
    }
    const text = plainText(next);
    await client.query(`UPDATE ${schema}.sources SET declaration = $2 WHERE source = $1`, [next.source, text]);
    return { ...before, declaration: text };
  }

  async function find(client: PoolClient, source: string): Promise<PostgresSource | null> {
    const known = sources.get(source);
    if (known !== undefined) return known;
    // Another process may have prepared it.
    const found = await stored(client, source);
    return found === undefined ? null : keep(JSON.parse(found.declaration) as SourceTable, found);
  }

  return {
    async get(source) {
      database.checkOpen();
      const found = sources.get(source) ?? (await database.repeatable((client) => find(client, source)));
      if (found === null) throw sourceUnknown(source);
      return found;
    },
    find,
    async prepare(declaration) {
      const made = await database.transaction(async (client) => {
        await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))", [
          `${database.schemaName}.${declaration.source}`,
        ]);
        const before = await stored(client, declaration.source);
        if (before === undefined) return create(client, declaration);
        return before.declaration === plainText(declaration) ? before : change(client, before, declaration);
      });
      const { table } = keep(declaration, made);
      const keys = declaration.keys ?? [];
      if (keys.length > 0) await database.repeatable((client) => addKeyIndexes(client, database, table, keys));
    },
  };
}

/** What is kept of a declaration, whatever else the object carries. */
function plainText({ source, columns, hasId }: SourceTable): string {
  return JSON.stringify({ source, columns: columns.map(({ name, type }) => ({ name, type })), hasId });
}

async function isEmpty(client: PoolClient, from: string): Promise<boolean> {
  const result = await client.query(`SELECT 1 FROM ${from} LIMIT 1`);
  return result.rowCount === 0;
}
