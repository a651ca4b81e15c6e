import { dirname } from "node:path";
import type { QueryArrayConfig } from "pg";
import type { ColumnKind, Value } from "../../definitions/value.ts";
import { duckdbFrameFiles } from "./duckdb-frame-files.ts";
import type { FrameBatch } from "./frame-file.ts";
import type { OfflineStore } from "./offline-store.ts";
import { postgresColumn } from "./postgres-column.ts";
import { copyOut, copyParser } from "./postgres-copy.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import { quoted } from "./postgres-text.ts";
import { sqlInvalid, sqlTimeout } from "./sql-errors.ts";

/** PostgreSQL's types by their object identifiers: the kind here, and the cast that makes it. */
const TYPES: Readonly<Record<number, readonly [kind: ColumnKind, cast: (name: string) => string]>> = {
  16: ["bool", (name) => name],
  20: ["int64", (name) => name],
  21: ["int32", (name) => `${name}::integer`],
  23: ["int32", (name) => name],
  700: ["float64", (name) => `${name}::double precision`],
  701: ["float64", (name) => name],
  1700: ["float64", (name) => `${name}::double precision`],
  1082: ["timestamp", (name) => `(${name}::timestamp AT TIME ZONE 'UTC')`],
  1114: ["timestamp", (name) => `(${name} AT TIME ZONE 'UTC')`],
  1184: ["timestamp", (name) => name],
};

/** Runs one SELECT in a transaction that may only read. */
export function postgresExportQuery(database: PostgresDatabase): NonNullable<OfflineStore["exportQuery"]> {
  return async (sql, path, timeoutMs) => {
    const query = sql.replace(/[;\s]+$/, "");
    const { client, release } = await database.reader();
    let isIdle = false;
    const files = await duckdbFrameFiles(dirname(path));
    try {
      await client.query(
        `BEGIN READ ONLY; SET LOCAL statement_timeout = ${Math.ceil(timeoutMs)}; SET LOCAL search_path = ${database.schema}, public`,
      );
      // The extended protocol, which pg's types leave out, takes one statement only; the line's end closes a comment that the query may end with.
      const described = await client.query({
        text: `SELECT * FROM (${query}\n) q LIMIT 0`,
        rowMode: "array",
        queryMode: "extended",
      } as QueryArrayConfig);
      const columns = described.fields.map(({ name, dataTypeID }) => {
        const [kind, cast] = TYPES[dataTypeID] ?? ["string" as const, (column: string) => `${column}::text`];
        return { name, type: { kind, nullable: true }, select: cast(quoted(name)) };
      });
      const select = `SELECT ${columns.map((column) => column.select).join(", ")} FROM (${query}\n) q`;
      const parser = copyParser(
        columns.map(({ type }) => postgresColumn(type)),
        (values) => values,
      );
      await files.writeParquet(path, columns, batches(copyOut(database.api, client, select, parser), columns.length));
      await client.query("COMMIT");
      isIdle = true;
    } catch (cause) {
      const { code, message } = cause as { readonly code?: string; readonly message?: string };
      if (code === "57014") throw sqlTimeout(timeoutMs);
      // SQLSTATEs of syntax, missing names, permissions, writes in a read-only transaction, and of data.
      if (code !== undefined && /^(42|25|22|0A|2F)...$/.test(code)) throw sqlInvalid(message ?? code, cause);
      throw database.error(cause);
    } finally {
      await files.close();
      release(isIdle);
    }
  };
}

async function* batches(source: AsyncIterable<Value[][]>, width: number): AsyncGenerator<FrameBatch> {
  for await (const rows of source) {
    const columns = Array.from({ length: width }, (_, index) => rows.map((row) => finite(row[index]!)));
    yield { count: rows.length, columns };
  }
}

/** Doubles of a query may be NaN or infinite, or −0: none of them is a value. */
function finite(value: Value): Value {
  return typeof value === "number" ? (Number.isFinite(value) ? value + 0 : null) : value;
}
