import type { DuckDBConnection } from "@duckdb/node-api";
import type { DuckdbDatabase } from "./duckdb-database.ts";
import { type DuckdbEventTable, duckdbEventTable, literal, quoted } from "./duckdb-event-table.ts";
import type { KnownEventIds } from "./known-event-ids.ts";
import type { SourceTable } from "./offline-store.ts";
import { sourceUnknown } from "./offline-store-errors.ts";
import { compareSchemas, conditionFailed, type SourceColumn } from "./schema-compatibility.ts";

/** What is open of one source. */
export interface DuckdbSource {
  table: DuckdbEventTable;
  /** Made at the first commit of events with ids. */
  knownIds: KnownEventIds | null;
}

/** The declared sources and their tables. */
export interface DuckdbSources {
  /** Throws `SOURCE_UNKNOWN`. */
  get(source: string): DuckdbSource;
  find(source: string): DuckdbSource | null;
  prepare(declaration: SourceTable): Promise<void>;
}

/** Loads the declarations of the stored sources. */
export async function duckdbSources(database: DuckdbDatabase): Promise<DuckdbSources> {
  const { api } = database;
  const sources = new Map<string, DuckdbSource>();
  /** As the table has them. */
  const physicalColumns = new Map<string, readonly SourceColumn[]>();

  await database.write(async (connection) => {
    const stored = await connection.runAndReadAll("SELECT declaration FROM sources");
    for (const [text] of stored.getRows() as [string][]) {
      const declaration = JSON.parse(text) as SourceTable;
      const names = await columnNames(connection, declaration.source);
      const physical = names.flatMap((name) => declaration.columns.filter((column) => column.name === name));
      keep(declaration, physical);
    }
  });

  function keep(declaration: SourceTable, physical: readonly SourceColumn[]): void {
    // A column's declared values and nullability may have changed since the table was made.
    const current = physical.map(({ name }) => declaration.columns.find((column) => column.name === name)!);
    physicalColumns.set(declaration.source, current);
    const table = duckdbEventTable(api, declaration, current);
    const known = sources.get(declaration.source);
    if (known === undefined) sources.set(declaration.source, { table, knownIds: null });
    else known.table = table;
  }

  /** The statements that bring the table to the declaration, and its columns afterwards. */
  async function change(connection: DuckDBConnection, next: SourceTable): Promise<[string[], readonly SourceColumn[]]> {
    const made = duckdbEventTable(api, next, next.columns);
    const create = [`CREATE TABLE ${made.name} (${made.ddl})`];
    const stored = sources.get(next.source)?.table;
    if (stored === undefined) return [create, next.columns];
    if (await isEmpty(connection, `FROM ${stored.name}`)) {
      return [[`DROP TABLE ${stored.name}`, ...create], next.columns];
    }
    const { added, conditions } = compareSchemas(stored.declaration, next);
    for (const condition of conditions) {
      const column = quoted(condition.column);
      if (condition.noNulls && !(await isEmpty(connection, `FROM ${stored.name} WHERE ${column} IS NULL`))) {
        throw conditionFailed(next.source, condition);
      }
      const values = condition.values?.map(literal).join(", ");
      if (
        values !== undefined &&
        !(await isEmpty(connection, `FROM ${stored.name} WHERE ${column} NOT IN (${values})`))
      ) {
        throw conditionFailed(next.source, { ...condition, noNulls: false });
      }
    }
    return [
      added.map(({ name }) => `ALTER TABLE ${stored.name} ADD COLUMN ${quoted(name)} ${made.columnTypes.get(name)}`),
      [...physicalColumns.get(next.source)!, ...added],
    ];
  }

  return {
    get(source) {
      database.checkOpen();
      const found = sources.get(source);
      if (found === undefined) throw sourceUnknown(source);
      return found;
    },
    find: (source) => sources.get(source) ?? null,
    async prepare(declaration) {
      const text = JSON.stringify(plain(declaration));
      const physical = await database.transaction(async (connection) => {
        const known = sources.get(declaration.source);
        if (known !== undefined && JSON.stringify(plain(known.table.declaration)) === text) return null;
        const [statements, columns] = await change(connection, declaration);
        for (const statement of statements) await connection.run(statement);
        await connection.run("DELETE FROM sources WHERE source = ?", [declaration.source]);
        await connection.run("INSERT INTO sources VALUES (?, ?)", [declaration.source, text]);
        return columns;
      });
      if (physical !== null) keep(declaration, physical);
    },
  };
}

/** What is kept of a declaration, whatever else the object carries. */
function plain({ source, columns, hasId }: SourceTable): SourceTable {
  return { source, columns: columns.map(({ name, type }) => ({ name, type })), hasId };
}

async function isEmpty(connection: DuckDBConnection, from: string): Promise<boolean> {
  const result = await connection.runAndReadAll(`SELECT 1 ${from} LIMIT 1`);
  return result.currentRowCount === 0;
}

async function columnNames(connection: DuckDBConnection, source: string): Promise<string[]> {
  const result = await connection.runAndReadAll(
    "SELECT column_name FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
    [`events_${source}`],
  );
  return result.getRows().map(([name]) => name as string);
}
