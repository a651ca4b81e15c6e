import type { DuckDBConnection } from "@duckdb/node-api";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import { duckdbColumn } from "./duckdb-column.ts";
import type { DuckdbDatabase } from "./duckdb-database.ts";
import { quoted, timestampLiteral, VECTOR_ROWS } from "./duckdb-event-table.ts";
import type { DuckdbSource, DuckdbSources } from "./duckdb-sources.ts";
import type { HistoryQuery } from "./offline-store.ts";

/** The log's reading side. Each reading has a connection of its own and sees the log as it was when it began. */
export interface DuckdbEventReader {
  read(source: string, partitionId: number, after: number, upTo: number): AsyncIterable<readonly LoggedEvent[]>;
  history(query: HistoryQuery): AsyncIterable<readonly LoggedEvent[]>;
}

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

  async function* read(
    sourceName: string,
    partitionId: number,
    after: number,
    upTo: number,
  ): AsyncGenerator<readonly LoggedEvent[]> {
    const source = sources.get(sourceName);
    const connection = await database.connect();
    try {
      const bounds = `e._partition_id = ${Math.floor(partitionId)} AND e._offset > ${Math.floor(after)} AND e._offset <= ${Math.floor(upTo)}`;
      yield* stream(source, connection, `WHERE ${bounds} ORDER BY e._offset`);
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
      const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
      yield* stream(source, connection, `${join} ${where} ORDER BY ${order}`);
    } finally {
      connection.closeSync();
    }
  }

  return { read, history };
}
