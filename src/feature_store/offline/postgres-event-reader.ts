import type { PoolClient } from "pg";
import type { Value } from "../../definitions/value.ts";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import type { EntityKeysQuery, HistoryQuery } from "./offline-store.ts";
import { valueText } from "./postgres-column.ts";
import { type CopyParser, copyIn, copyOut, copyParser, copySlices } from "./postgres-copy.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import type { PostgresEventTable } from "./postgres-event-table.ts";
import type { PostgresRetention } from "./postgres-retention.ts";
import type { PostgresSources } from "./postgres-sources.ts";
import { quoted, textLiteral } from "./postgres-text.ts";
import { nextMoment, timeLiteral } from "./postgres-time.ts";

/** The log's reading side. Each reading has a connection of its own and sees the log as it was when it began. */
export interface PostgresEventReader {
  read(source: string, partitionId: number, after: number, upTo: number): AsyncIterable<readonly LoggedEvent[]>;
  history(query: HistoryQuery): AsyncIterable<readonly LoggedEvent[]>;
  entityKeys(query: EntityKeysQuery): AsyncIterable<readonly (readonly Value[])[]>;
}

export function postgresEventReader(
  database: PostgresDatabase,
  sources: PostgresSources,
  retention: PostgresRetention,
): PostgresEventReader {
  /** Streams what a query selects; `prepare` runs before it, in the same transaction. */
  async function* stream<Row>(
    select: string,
    parser: CopyParser<Row>,
    prepare?: (client: PoolClient) => Promise<void>,
  ): AsyncGenerator<Row[]> {
    const { client, release } = await database.reader();
    let isIdle = false;
    try {
      // It goes at the caller's pace.
      await client.query("BEGIN; SET LOCAL statement_timeout = 0");
      await prepare?.(client);
      yield* copyOut(database.api, client, select, parser);
      await client.query("COMMIT");
      isIdle = true;
    } catch (cause) {
      database.checkOpen();
      throw database.error(cause);
    } finally {
      release(isIdle);
    }
  }

  function events(
    table: PostgresEventTable,
    rest: string,
    prepare?: (client: PoolClient) => Promise<void>,
  ): AsyncGenerator<LoggedEvent[]> {
    return stream(`SELECT ${table.selection} FROM ${table.name} e ${rest}`, table.parser(), prepare);
  }

  async function* read(
    sourceName: string,
    partitionId: number,
    after: number,
    upTo: number,
  ): AsyncGenerator<readonly LoggedEvent[]> {
    const { table } = await sources.get(sourceName);
    const to = Math.floor(Math.min(upTo, Number.MAX_SAFE_INTEGER));
    const from = Math.floor(Math.max(after, Number.MIN_SAFE_INTEGER));
    yield* events(
      table,
      `WHERE e._partition_id = ${Math.floor(partitionId)} AND e._offset > ${from} AND e._offset <= ${to} ORDER BY e._offset`,
    );
  }

  async function* history(query: HistoryQuery): AsyncGenerator<readonly LoggedEvent[]> {
    const { table } = await sources.get(query.source);
    const { keyColumns, keys, from, before } = query;
    if (keys !== null && keys.length === 0) return;
    const names = keyColumns.map((name) => `e.${quoted(name)}`);
    const conditions = names.map((name) => `${name} IS NOT NULL`);
    if (from !== null) conditions.push(`e._event_time >= ${timeLiteral(from)}`);
    if (before !== null) conditions.push(`e._event_time < ${timeLiteral(before)}`);
    const moment =
      query.knowledge === "event_time" ? "e._event_time" : `greatest(${nextMoment("e._event_time")}, e._ingested_at)`;
    const order = [...names, moment, "e._partition_id", "e._offset"].join(", ");
    const where = `WHERE ${conditions.join(" AND ")} ORDER BY ${order}`;
    if (keys === null) {
      yield* events(table, where, (client) => begin(client, table, query));
      return;
    }
    const on = names.map((name, index) => `${name} = w.k${index}`).join(" AND ");
    yield* events(table, `JOIN (SELECT DISTINCT * FROM wanted_keys) w ON ${on} ${where}`, async (client) => {
      await begin(client, table, query);
      await keepKeys(client, table, keyColumns, keys);
    });
  }

  /** Nothing can be dropped from here to the end of the reading. */
  async function begin(client: PoolClient, table: PostgresEventTable, query: HistoryQuery): Promise<void> {
    await client.query(`LOCK TABLE ${table.name} IN ACCESS SHARE MODE`);
    await retention.check(client, query);
  }

  async function* entityKeys({ source, keyColumns, after }: EntityKeysQuery): AsyncGenerator<Value[][]> {
    const { table } = await sources.get(source);
    const names = keyColumns.map(quoted);
    const conditions = names.map((name) => `${name} IS NOT NULL`);
    if (after !== null) {
      const values = keyColumns.map((name, index) => {
        const { type } = table.declaration.columns.find((column) => column.name === name)!;
        return `${textLiteral(valueText(type, after[index]!))}::${table.columns.get(name)!.sql}`;
      });
      conditions.push(`(${names.join(", ")}) > (${values.join(", ")})`);
    }
    const list = names.join(", ");
    const select = `SELECT DISTINCT ${list} FROM ${table.name} WHERE ${conditions.join(" AND ")} ORDER BY ${list}`;
    const columns = keyColumns.map((name) => table.columns.get(name)!);
    yield* stream(
      select,
      copyParser(columns, (key) => key),
    );
  }

  /** The wanted keys as a table of the transaction's own. */
  async function keepKeys(
    client: PoolClient,
    table: PostgresEventTable,
    keyColumns: readonly string[],
    keys: readonly (readonly Value[])[],
  ): Promise<void> {
    const fields = keyColumns.map((name, index) => ({
      column: table.columns.get(name)!,
      value: (key: readonly Value[]) => key[index]!,
    }));
    const definition = fields.map(({ column }, index) => `k${index} ${column.sql}`).join(", ");
    await client.query(`CREATE TEMP TABLE wanted_keys (${definition}) ON COMMIT DROP`);
    await copyIn(database.api, client, "COPY wanted_keys FROM STDIN (FORMAT binary)", copySlices(fields, keys));
    await client.query("ANALYZE wanted_keys");
  }

  return { read, history, entityKeys };
}
