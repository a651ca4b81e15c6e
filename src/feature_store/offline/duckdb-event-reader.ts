import type { DuckDBConnection } from "@duckdb/node-api";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import { type DuckdbColumn, duckdbColumn, duckdbValue } from "./duckdb-column.ts";
import type { DuckdbDatabase } from "./duckdb-database.ts";
import { quoted, timestampLiteral, VECTOR_ROWS } from "./duckdb-event-table.ts";
import type { DuckdbSource, DuckdbSources } from "./duckdb-sources.ts";
import type { EntityKeysQuery, HistoryQuery } from "./offline-store.ts";

/** The log's reading side. Each reading has a connection of its own and sees the log as it was when it began. */
export interface DuckdbEventReader {
  read(source: string, partitionId: number, after: number, upTo: number): AsyncIterable<readonly LoggedEvent[]>;
  history(query: HistoryQuery): AsyncIterable<readonly LoggedEvent[]>;
  entityKeys(query: EntityKeysQuery): AsyncIterable<readonly (readonly Value[])[]>;
}

/** What a row takes while it is sorted, roughly: the log's own columns, and any column without its text. */
const BYTES_PER_ROW = 128;
const BYTES_PER_COLUMN = 16;
/** Rows of a page of `read`. */
const PAGE_ROWS = 65_536;

export function duckdbEventReader(database: DuckdbDatabase, sources: DuckdbSources): DuckdbEventReader {
  const { api } = database;

  async function* stream(
    { table }: DuckdbSource,
    connection: DuckDBConnection,
    rest: string,
  ): AsyncGenerator<readonly LoggedEvent[]> {
    const result = await database.step(() =>
      connection.stream(`SELECT ${table.selection} FROM ${table.name} e ${rest}`),
    );
    while (true) {
      const chunk = await database.step(() => result.fetchChunk());
      if (chunk === null || chunk.rowCount === 0) return;
      yield table.readChunk(chunk);
    }
  }

  /** The wanted keys as a table of the connection's own. */
  async function keepKeys(
    connection: DuckDBConnection,
    source: DuckdbSource,
    { keyColumns, keys }: HistoryQuery,
  ): Promise<void> {
    const { declaration, columnTypes } = source.table;
    const columns = keyColumns.map((name) =>
      duckdbColumn(api, declaration.columns.find((column) => column.name === name)!.type),
    );
    const definition = keyColumns.map((name, index) => `k${index} ${columnTypes.get(name)}`).join(", ");
    await database.step(() => connection.run(`CREATE TEMP TABLE wanted_keys (${definition})`));
    const appender = await database.step(() => connection.createAppender("wanted_keys", "main", "temp"));
    for (let start = 0; start < keys!.length; start += VECTOR_ROWS) {
      const page = keys!.slice(start, start + VECTOR_ROWS);
      const types = columns.map((column) => column.type);
      const chunk = api.DuckDBDataChunk.create(types, page.length);
      columns.forEach((column, index) => {
        const values = page.map((key) => key[index]!);
        column.write(chunk.getColumnVector(index), values, values.length);
      });
      appender.appendDataChunk(chunk);
    }
    appender.closeSync();
  }

  /**
   * Into how many shares of the keys a history is cut. DuckDB sorts on disk what does not fit into memory, but fails on
   * several times that.
   */
  async function sortShares(
    connection: DuckDBConnection,
    { table }: DuckdbSource,
    conditions: readonly string[],
  ): Promise<number> {
    const texts = table.declaration.columns.filter(({ type }) => type.kind !== "bool" && type.kind !== "int32");
    const lengths = texts.map(({ name }) => `coalesce(avg(strlen(${quoted(name)}::VARCHAR)), 0)`).join(" + ");
    const sample = `SELECT ${lengths || "0"} FROM (FROM ${table.name} LIMIT ${VECTOR_ROWS})`;
    const count = `SELECT count(*) FROM ${table.name} e WHERE ${conditions.join(" AND ")}`;
    const result = await database.step(() => connection.runAndReadAll(`SELECT (${count}), (${sample})`));
    const [rows, width] = result.getRows()[0]!.map(Number) as [number, number];
    const bytes = rows * (width + BYTES_PER_ROW + BYTES_PER_COLUMN * table.declaration.columns.length);
    return Math.max(1, Math.ceil(bytes / (database.memoryLimitBytes / 2)));
  }

  /** The last offsets of the pages that a reading is cut into, so that each is sorted in memory. */
  async function pageEnds(
    connection: DuckDBConnection,
    { table }: DuckdbSource,
    condition: string,
    offsets: number,
  ): Promise<number[]> {
    // Rows lie in the order of their commits, so those of a partition are in offset order already, or nearly.
    const page = offsets <= PAGE_ROWS ? "" : `GROUP BY e.rowid // ${PAGE_ROWS}`;
    const ends = await database.step(() =>
      connection.runAndReadAll(`SELECT max(e._offset) FROM ${table.name} e WHERE ${condition} ${page} ORDER BY 1`),
    );
    return ends.getRows().flatMap(([end]) => (end === null ? [] : [Number(end)]));
  }

  async function* read(
    sourceName: string,
    partitionId: number,
    after: number,
    upTo: number,
  ): AsyncGenerator<readonly LoggedEvent[]> {
    const source = sources.get(sourceName);
    const connection = await database.connect();
    try {
      const within = (from: number, to: number): string =>
        `e._partition_id = ${Math.floor(partitionId)} AND e._offset > ${Math.floor(from)} AND e._offset <= ${Math.floor(Math.min(to, Number.MAX_SAFE_INTEGER))}`;
      // One snapshot for all pages.
      await database.step(() => connection.run("BEGIN"));
      let from = after;
      for (const to of await pageEnds(connection, source, within(after, upTo), upTo - after)) {
        yield* stream(source, connection, `WHERE ${within(from, to)} ORDER BY e._offset`);
        from = to;
      }
    } finally {
      connection.closeSync();
    }
  }

  async function* history(query: HistoryQuery): AsyncGenerator<readonly LoggedEvent[]> {
    const source = sources.get(query.source);
    const { keyColumns, keys, from, before } = query;
    if (keys !== null && keys.length === 0) return;
    const connection = await database.connect();
    try {
      const names = keyColumns.map((name) => `e.${quoted(name)}`);
      const conditions = names.map((name) => `${name} IS NOT NULL`);
      if (from !== null) conditions.push(`e._event_time >= ${timestampLiteral(from)}`);
      if (before !== null) conditions.push(`e._event_time < ${timestampLiteral(before)}`);
      let join = "";
      if (keys !== null) {
        await keepKeys(connection, source, query);
        join = `SEMI JOIN wanted_keys w ON ${names.map((name, index) => `${name} = w.k${index}`).join(" AND ")}`;
      }
      const moment =
        query.knowledge === "event_time"
          ? "e._event_time"
          : "greatest(epoch_ms(e._event_time) + 1, epoch_ms(e._ingested_at))";
      const order = [...names, moment, "e._partition_id", "e._offset"].join(", ");
      // One snapshot for all shares.
      await database.step(() => connection.run("BEGIN"));
      const shares = await sortShares(connection, source, conditions);
      for (let share = 0; share < shares; share++) {
        const mine = shares === 1 ? conditions : [...conditions, `hash(${names.join(", ")}) % ${shares} = ${share}`];
        yield* stream(source, connection, `${join} WHERE ${mine.join(" AND ")} ORDER BY ${order}`);
      }
    } finally {
      connection.closeSync();
    }
  }

  async function* entityKeys({ source: name, keyColumns, after }: EntityKeysQuery): AsyncGenerator<Value[][]> {
    const { table } = sources.get(name);
    const columns = keyColumns.map((column) => columnOf(table, column));
    const names = keyColumns.map(quoted);
    const conditions = names.map((column) => `${column} IS NOT NULL`);
    if (after !== null) conditions.push(`(${names.join(", ")}) > (${names.map(() => "?").join(", ")})`);
    const values = (after ?? []).map((value, index) => duckdbValue(api, columns[index]!.spec, value));
    const connection = await database.connect();
    try {
      const result = await database.step(() =>
        connection.stream(
          `SELECT DISTINCT ${names.join(", ")} FROM ${table.name} WHERE ${conditions.join(" AND ")} ORDER BY ${names.join(", ")}`,
          values,
        ),
      );
      while (true) {
        const chunk = await database.step(() => result.fetchChunk());
        if (chunk === null || chunk.rowCount === 0) return;
        const keys = Array.from({ length: chunk.rowCount }, () => new Array<Value>(columns.length));
        for (const [index, { column }] of columns.entries()) {
          column.read(chunk.getColumnVector(index), chunk.rowCount, (row, value) => {
            keys[row]![index] = value;
          });
        }
        yield keys;
      }
    } finally {
      connection.closeSync();
    }
  }

  function columnOf(
    { declaration }: DuckdbSource["table"],
    name: string,
  ): { spec: ColumnTypeSpec; column: DuckdbColumn } {
    const spec = declaration.columns.find((column) => column.name === name)!.type;
    return { spec, column: duckdbColumn(api, spec) };
  }

  return { read, history, entityKeys };
}
