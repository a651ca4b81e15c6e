import type { ColumnTypeSpec } from "../../definitions/value.ts";
import type { SourceTable } from "./offline-store.ts";
import { postgresColumn } from "./postgres-column.ts";
import type { PartitionInterval } from "./postgres-database.ts";
import { eventTableName } from "./postgres-event-table.ts";
import { quoted, textLiteral } from "./postgres-text.ts";

/** How another process than the engine writes a source's history: SQL, whose one parameter is a batch as JSON. */
export interface HistoryStatements {
  /** One transaction. Batches may be repeated: what is there already stays as it is. */
  readonly write: readonly string[];
  /** To be run in a transaction of its own after a failure with this SQLSTATE; then the batch again. */
  readonly repair: { readonly state: string; readonly sql: string };
}

/** No table for the time of an event: a check violation. */
const NO_TIME_PARTITION = "23514";

/**
 * A batch is `{ "rows": […], "letters": [{ p, o, code, reason, bytes (base64), at }], "ends": [{ p, f, o }] }`: events
 * (see `createHistoryRows`), dead letters, and per partition the first and the last offset that was read. `committed` is then the
 * largest offset of any batch. Offsets of transports whose positions are no numbers are hashes: two events of one offset are
 * one only if their payloads are the same.
 */
export function historyStatements(
  schemaName: string,
  table: SourceTable,
  versionKind: ColumnTypeSpec["kind"] | null,
  partitionBy: PartitionInterval,
): HistoryStatements {
  const schema = quoted(schemaName);
  const tableName = eventTableName(table.source);
  const events = `${schema}.${quoted(tableName)}`;
  const source = textLiteral(table.source);
  const format = { year: "YYYY", month: "YYYY_MM", day: "YYYY_MM_DD" }[partitionBy];
  const declared = table.columns.map(({ name, type }, index) => ({ name, ...readColumn(type, `c${index}`) }));
  const isWide = versionKind === "int64";
  const names = [
    ...["_event_time", "_ingested_at", "_offset", "_payload_hash", "_partition_id", "_version", "_version_int64"],
    ...(table.hasId ? ["_event_id"] : []),
    ...table.columns.map((column) => column.name),
  ];
  const values = [
    ...[timeOf("r.t"), timeOf("r.a"), "r.o", "r.h", "p.partition_id"],
    ...[isWide ? "NULL::float8" : "r.v::float8", isWide ? "r.v::bigint" : "NULL::bigint"],
    ...(table.hasId ? ["r.i"] : []),
    ...declared.map((column) => column.value),
  ];
  const record = [
    ...["p text", "o bigint", "t bigint", "a bigint", "h uuid", "v numeric", "i text"],
    ...declared.map((column, index) => `c${index} ${column.sql}`),
  ].join(", ");
  return {
    write: [
      `INSERT INTO ${schema}.partitions (source, "partition", owner_epoch, committed)
       SELECT ${source}, named.p, 1, -1 FROM (
         SELECT p FROM json_to_recordset(?::json->'ends') AS r(p text) ORDER BY p) AS named
       WHERE NOT EXISTS (SELECT 1 FROM ${schema}.partitions k WHERE k.source = ${source} AND k."partition" = named.p)
       ON CONFLICT DO NOTHING`,
      `SELECT 1 FROM ${schema}.partitions WHERE source = ${source}
         AND "partition" IN (SELECT p FROM json_to_recordset(?::json->'ends') AS r(p text))
       ORDER BY partition_id FOR NO KEY UPDATE`,
      `INSERT INTO ${events} (${names.map(quoted).join(", ")})
       SELECT ${values.join(", ")} FROM json_to_recordset(?::json->'rows') AS r(${record})
       JOIN ${schema}.partitions p ON p.source = ${source} AND p."partition" = r.p
       WHERE r.o > p.committed
          OR NOT EXISTS (SELECT 1 FROM ${events} e WHERE e._partition_id = p.partition_id AND e._offset = r.o AND e._payload_hash = r.h)
       ON CONFLICT DO NOTHING`,
      `INSERT INTO ${schema}.dead_letters (source, "partition", "offset", code, reason, bytes, "at")
       SELECT ${source}, r.p, r.o, r.code, r.reason, decode(r.bytes, 'base64'), ${timeOf("r.at")}
       FROM json_to_recordset(?::json->'letters') AS r(p text, o bigint, code text, reason text, bytes text, at bigint)
       WHERE NOT EXISTS (SELECT 1 FROM ${schema}.dead_letters d
         WHERE d.source = ${source} AND d."partition" = r.p AND d."offset" = r.o)`,
      // What is read again may be good now: after a repair, with the same offset.
      `WITH batch AS MATERIALIZED (SELECT ?::json AS j)
       DELETE FROM ${schema}.dead_letters d USING batch, json_to_recordset(batch.j->'rows') AS r(p text, o bigint)
       WHERE (SELECT bool_or(e.f <= k.committed) FROM batch, json_to_recordset(batch.j->'ends') AS e(p text, f bigint)
         JOIN ${schema}.partitions k ON k.source = ${source} AND k."partition" = e.p)
       AND d.source = ${source} AND d."partition" = r.p AND d."offset" = r.o`,
      `UPDATE ${schema}.partitions k SET committed = r.o
       FROM json_to_recordset(?::json->'ends') AS r(p text, o bigint)
       WHERE k.source = ${source} AND k."partition" = r.p AND k.committed < r.o`,
    ],
    repair: {
      state: NO_TIME_PARTITION,
      sql: `SELECT ${schema}.make_time_partitions(${textLiteral(tableName)}, '${partitionBy}', '${format}', ?::json)`,
    },
  };
}

const OLDEST_PLAIN = -200_000_000_000_000;

/** Milliseconds as a time; very old ones a microsecond apart, see `postgres-time.ts`. */
function timeOf(ms: string): string {
  const plain = (value: string): string => `timestamptz 'epoch' + ${value} * interval '1 millisecond'`;
  return `CASE WHEN ${ms} >= ${OLDEST_PLAIN} THEN ${plain(ms)}
    ELSE ${plain(`(${OLDEST_PLAIN})`)} - (${OLDEST_PLAIN} - ${ms}) * interval '1 microsecond' END`;
}

/** How a declared column is read from JSON, in which times are milliseconds. */
function readColumn(type: ColumnTypeSpec, name: string): { readonly sql: string; readonly value: string } {
  const sql = postgresColumn(type).sql.split(" COLLATE")[0]!;
  if (type.kind === "timestamp") return { sql: "bigint", value: timeOf(`r.${name}`) };
  if (sql === "timestamptz[]") {
    const items = `SELECT array_agg(${timeOf("u.x")} ORDER BY u.n) FROM unnest(r.${name}) WITH ORDINALITY AS u(x, n)`;
    return { sql: "bigint[]", value: `CASE WHEN r.${name} = '{}' THEN '{}' ELSE (${items}) END` };
  }
  return { sql, value: `r.${name}` };
}
