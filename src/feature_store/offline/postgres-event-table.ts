import { createHash } from "node:crypto";
import type { Value } from "../../definitions/value.ts";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import type { SourceTable } from "./offline-store.ts";
import {
  type CopyBytes,
  float64Column,
  int32Column,
  int64Column,
  type PostgresColumn,
  postgresColumn,
  reserve,
  textColumn,
  timeColumn,
  wideColumn,
} from "./postgres-column.ts";
import { type CopyField, type CopyParser, copyParser, copySlices } from "./postgres-copy.ts";
import { quoted } from "./postgres-text.ts";

/** The table of one source's events. Its own columns begin with an underscore, which no declared name does. */
export interface PostgresEventTable {
  readonly declaration: SourceTable;
  /** Without the schema, not quoted. */
  readonly tableName: string;
  /** Quoted, with the schema. */
  readonly name: string;
  /** The names and SQL types of all columns, for CREATE TABLE. */
  readonly ddl: string;
  /** The declared columns. */
  readonly columns: ReadonlyMap<string, PostgresColumn>;
  /** The COPY that takes what `slices` gives. */
  readonly copyIn: string;
  slices(events: readonly LoggedEvent[]): Iterable<Buffer>;
  /** The columns that `parser` wants, in its order, each with the prefix `e.` */
  readonly selection: string;
  parser(): CopyParser<LoggedEvent>;
}

/** A source's table name: leaves room in PostgreSQL's 63 characters for what partitions and indexes append. */
export function eventTableName(source: string): string {
  const name = `events_${source}`;
  if (name.length <= 46) return name;
  return `${name.slice(0, 37)}_${shortHash(source)}`;
}

/** Eight characters that tell names apart. */
export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

export function postgresEventTable(schema: string, declaration: SourceTable, tableName: string): PostgresEventTable {
  const hashes = hashColumn();
  const system: (CopyField<LoggedEvent> & { readonly name: string; readonly notNull?: true })[] = [
    { name: "_event_time", column: timeColumn, value: (event) => event.eventTime, notNull: true },
    { name: "_ingested_at", column: timeColumn, value: (event) => event.ingestedAt, notNull: true },
    { name: "_offset", column: wideColumn, value: (event) => event.offset, notNull: true },
    { name: "_payload_hash", column: hashes.column, value: hashes.value, notNull: true },
    { name: "_partition_id", column: int32Column, value: (event) => event.partitionId, notNull: true },
    {
      name: "_version",
      column: float64Column,
      value: (event) => (typeof event.version === "number" ? event.version : null),
    },
    {
      name: "_version_int64",
      column: int64Column,
      value: (event) => (typeof event.version === "bigint" ? event.version : null),
    },
    ...(declaration.hasId
      ? [{ name: "_event_id", column: textColumn, value: (event: LoggedEvent) => event.id } as const]
      : []),
  ];
  const declared = declaration.columns.map(({ name, type }, index) => ({
    name,
    column: postgresColumn(type),
    value: (event: LoggedEvent): Value => event.row[index]!,
  }));
  const fields = [...system, ...declared];
  const systemCount = system.length;
  const name = `${schema}.${quoted(tableName)}`;
  const names = fields.map((field) => quoted(field.name));

  function make(values: Value[]): LoggedEvent {
    const words = values[3] as readonly number[];
    return {
      partitionId: values[4] as number,
      offset: values[2] as number,
      eventTime: values[0] as number,
      version: (values[5] ?? values[6] ?? null) as number | bigint | null,
      ingestedAt: values[1] as number,
      hash0: words[0]!,
      hash1: words[1]!,
      hash2: words[2]!,
      hash3: words[3]!,
      id: declaration.hasId ? (values[7] as string | null) : null,
      row: values.slice(systemCount),
    };
  }

  return {
    declaration,
    tableName,
    name,
    ddl: [
      ...system.map((field) => `${quoted(field.name)} ${field.column.sql}${field.notNull === true ? " NOT NULL" : ""}`),
      ...declared.map((field) => `${quoted(field.name)} ${field.column.sql}`),
    ].join(", "),
    columns: new Map(declared.map((field) => [field.name, field.column])),
    copyIn: `COPY ${name} (${names.join(", ")}) FROM STDIN (FORMAT binary)`,
    slices: (events) => copySlices(fields, events),
    selection: names.map((column) => `e.${column}`).join(", "),
    parser: () =>
      copyParser(
        fields.map((field) => field.column),
        make,
      ),
  };
}

/** The payload hash, as a uuid: its four words, the most significant first. */
function hashColumn(): Pick<CopyField<LoggedEvent>, "column" | "value"> {
  // The words of the event at hand, so that none are made for each.
  let current: LoggedEvent | null = null;
  return {
    value(event) {
      current = event;
      return true;
    },
    column: {
      sql: "uuid",
      oid: 2950,
      write(out: CopyBytes) {
        reserve(out, 20);
        const { view, at } = out;
        const { hash0, hash1, hash2, hash3 } = current!;
        view.setInt32(at, 16);
        view.setUint32(at + 4, hash0);
        view.setUint32(at + 8, hash1);
        view.setUint32(at + 12, hash2);
        view.setUint32(at + 16, hash3);
        out.at = at + 20;
      },
      // Not a value of the platform: the event takes the words apart.
      read: (_bytes, view, at) =>
        [view.getUint32(at), view.getUint32(at + 4), view.getUint32(at + 8), view.getUint32(at + 12)] as const,
    },
  };
}
