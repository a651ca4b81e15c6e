import type { DuckDBDataChunk, DuckDBType } from "@duckdb/node-api";
import type { Value } from "../../definitions/value.ts";
import { murmur3 } from "../../feature_engineering/encoding/murmur3.ts";
import { utf8Length, writeUtf8 } from "../../feature_engineering/encoding/utf8.ts";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import { type DuckdbColumn, doubleWords, duckdbColumn, quadWords, wideColumn } from "./duckdb-column.ts";
import type { DuckdbApi } from "./duckdb-database.ts";
import type { SourceTable } from "./offline-store.ts";
import type { SourceColumn } from "./schema-compatibility.ts";

/** Rows of a DuckDB vector. */
export const VECTOR_ROWS = 2_048;

/** The table of one source's events. Its own columns begin with an underscore, which no declared name does. */
export interface DuckdbEventTable {
  readonly declaration: SourceTable;
  /** Quoted. */
  readonly name: string;
  /** The names and SQL types of all columns, as the table has them, for CREATE TABLE. */
  readonly ddl: string;
  /** The SQL types of the declared columns. */
  readonly columnTypes: ReadonlyMap<string, string>;
  /** The columns that `readChunk` wants, in its order, for SELECT; each with the prefix `e.` */
  readonly selection: string;
  /** `events[start]` and up to VECTOR_ROWS − 1 more, as the appender wants them. */
  writeChunk(events: readonly LoggedEvent[], start: number): DuckDBDataChunk;
  /** The events of a chunk of `selection`. */
  readChunk(chunk: DuckDBDataChunk): LoggedEvent[];
}

interface TableColumn {
  readonly name: string;
  readonly type: DuckDBType;
  readonly notNull: boolean;
  readonly value: ((event: LoggedEvent) => Value) | null;
  readonly column: DuckdbColumn | null;
}

/**
 * Compiles a source's table. `physical` are the declared columns in the order in which the table has them, which stays
 * when a declaration is reordered.
 */
export function duckdbEventTable(
  api: DuckdbApi,
  declaration: SourceTable,
  physical: readonly SourceColumn[],
): DuckdbEventTable {
  const wide = wideColumn(api);
  const of = (kind: "string" | "int64" | "int32" | "float64" | "timestamp"): DuckdbColumn =>
    duckdbColumn(api, { kind, nullable: true });
  const indexOf = new Map(declaration.columns.map((column, index) => [column.name, index]));
  const system = (name: string, column: DuckdbColumn, notNull: boolean, value: TableColumn["value"]): TableColumn => ({
    name,
    type: column.type,
    notNull,
    value,
    column,
  });
  const ids: TableColumn[] = declaration.hasId
    ? [
        system("_event_id", of("string"), false, (event) => event.id),
        { name: "_event_id_hash", type: api.BIGINT, notNull: false, value: null, column: null },
      ]
    : [];
  const columns: TableColumn[] = [
    system("_partition_id", of("int32"), true, (event) => event.partitionId),
    system("_offset", wide, true, (event) => event.offset),
    system("_event_time", of("timestamp"), true, (event) => event.eventTime),
    system("_ingested_at", of("timestamp"), true, (event) => event.ingestedAt),
    system("_version", of("float64"), false, (event) => (typeof event.version === "number" ? event.version : null)),
    system("_version_int64", of("int64"), false, (event) => (typeof event.version === "bigint" ? event.version : null)),
    { name: "_payload_hash", type: api.UHUGEINT, notNull: true, value: null, column: null },
    ...ids,
    ...physical.map(({ name, type }): TableColumn => {
      const index = indexOf.get(name)!;
      const column = duckdbColumn(api, type);
      return { name, type: column.type, notNull: false, value: (event) => event.row[index]!, column };
    }),
  ];
  const types = columns.map((column) => column.type);
  const selected = [
    "_partition_id",
    "_offset",
    "_event_time",
    "_ingested_at",
    "_version",
    "_version_int64",
    "_payload_hash",
    ...(declaration.hasId ? ["_event_id"] : []),
    ...declaration.columns.map((column) => column.name),
  ];
  const readers = selected.map((name) => columns.find((column) => column.name === name)!.column);
  const scratch: Value[] = [];

  function writeChunk(events: readonly LoggedEvent[], start: number): DuckDBDataChunk {
    const count = Math.min(VECTOR_ROWS, events.length - start);
    const chunk = api.DuckDBDataChunk.create(types, count);
    for (let index = 0; index < columns.length; index++) {
      const { name, column, value } = columns[index]!;
      const vector = chunk.getColumnVector(index);
      if (column !== null) {
        for (let row = 0; row < count; row++) scratch[row] = value!(events[start + row]!);
        column.write(vector, scratch, count);
        continue;
      }
      if (name === "_payload_hash") {
        const words = quadWords(vector);
        for (let row = 0; row < count; row++) {
          const event = events[start + row]!;
          words[row * 4] = event.hash3;
          words[row * 4 + 1] = event.hash2;
          words[row * 4 + 2] = event.hash1;
          words[row * 4 + 3] = event.hash0;
        }
      } else {
        const words = doubleWords(vector);
        for (let row = 0; row < count; row++) {
          const { id, eventTime } = events[start + row]!;
          if (id === null) {
            vector.setItem(row, null);
          } else {
            hashEventId(id, eventTime);
            words[row * 2] = eventIdHash[0]!;
            words[row * 2 + 1] = eventIdHash[1]!;
          }
        }
      }
      vector.flush();
    }
    return chunk;
  }

  function readChunk(chunk: DuckDBDataChunk): LoggedEvent[] {
    const count = chunk.rowCount;
    const system: Value[][] = [];
    const rows = Array.from({ length: count }, () => new Array<Value>(declaration.columns.length));
    const firstPayload = selected.length - declaration.columns.length;
    for (let index = 0; index < selected.length; index++) {
      const column = readers[index]!;
      if (column === null) continue;
      const payload = index - firstPayload;
      if (payload >= 0) {
        column.read(chunk.getColumnVector(index), count, (row, value) => {
          rows[row]![payload] = value;
        });
      } else {
        const values = new Array<Value>(count);
        column.read(chunk.getColumnVector(index), count, (row, value) => {
          values[row] = value;
        });
        system[index] = values;
      }
    }
    const hashes = quadWords(chunk.getColumnVector(6));
    const [partitionIds, offsets, eventTimes, ingestedAts, versions, longVersions] = system as number[][];
    const eventIds = declaration.hasId ? (system[7] as (string | null)[]) : null;
    return rows.map((row, index) => ({
      partitionId: partitionIds![index]!,
      offset: offsets![index]!,
      eventTime: eventTimes![index]!,
      version: versions![index] ?? longVersions![index] ?? null,
      ingestedAt: ingestedAts![index]!,
      hash0: hashes[index * 4 + 3]!,
      hash1: hashes[index * 4 + 2]!,
      hash2: hashes[index * 4 + 1]!,
      hash3: hashes[index * 4]!,
      id: eventIds === null ? null : eventIds[index]!,
      row,
    }));
  }

  return {
    declaration,
    name: quoted(`events_${declaration.source}`),
    ddl: columns.map(({ name, type, notNull }) => `${quoted(name)} ${type}${notNull ? " NOT NULL" : ""}`).join(", "),
    columnTypes: new Map(columns.map(({ name, type }) => [name, String(type)])),
    selection: selected.map((name) => `e.${quoted(name)}`).join(", "),
    writeChunk,
    readChunk,
  };
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Epoch milliseconds as a constant of the columns' own type, so that DuckDB skips row groups by it. */
export function timestampLiteral(milliseconds: number): string {
  // Beyond these years no event is; a bound may be.
  const bounded = Math.max(-9.2e15, Math.min(9.2e15, Math.ceil(milliseconds)));
  return `make_timestamp(${BigInt(bounded) * 1000n})::TIMESTAMP_MS`;
}

/** Where {@link hashEventId} leaves its result. */
export const eventIdHash: Uint32Array = new Uint32Array(4);
let idBytes = new Uint8Array(256);

/** The hash of an event's id and time, of which the first two words are stored: `_event_id_hash`, the lower first. */
export function hashEventId(id: string, eventTime: number): void {
  const length = 8 + utf8Length(id);
  if (idBytes.length < length) idBytes = new Uint8Array(2 * length);
  new DataView(idBytes.buffer).setFloat64(0, eventTime, true);
  murmur3(idBytes, 0, writeUtf8(id, idBytes, 8), 0, eventIdHash);
}
