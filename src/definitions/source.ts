import type { ColumnType, InferSchema, Schema } from "./column-type.ts";
import type { StreamConnector } from "./connector.ts";
import { type CheckedDuration, type Duration, durationMs } from "./duration.ts";
import { millraceError } from "./errors.ts";
import { type Expr, expr } from "./expression.ts";
import { type EventFormat, json } from "./format.ts";
import { Meta } from "./meta.ts";
import { checkName } from "./names.ts";
import type { ColumnTypeSpec } from "./value.ts";

export interface SourceColumn {
  readonly name: string;
  readonly type: ColumnTypeSpec;
}

/** A stream or table source as data. */
export interface SourceMeta {
  readonly kind: "stream_source" | "table_source";
  readonly name: string;
  readonly connector: StreamConnector;
  readonly format: EventFormat;
  readonly columns: readonly SourceColumn[];
  readonly eventTime: string;
  /** Column names, or null where not declared. */
  readonly id: string | null;
  readonly version: string | null;
  readonly ingestedAt: string | null;
  readonly deleted: string | null;
  readonly clock: "wall" | "stream";
  readonly latenessMs: number;
  readonly futureBoundMs: number;
  readonly description: string;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
}

type ColumnsOf<C extends Schema, T> = {
  [K in keyof C & string]: C[K] extends ColumnType<infer V> ? ([V] extends [T] ? K : never) : never;
}[keyof C & string];

/** A declared source: its columns are values (`transactions.amount`). */
export type Source<N extends string, C extends Schema> = {
  readonly [K in keyof C]: Expr<InferSchema<C>[K], N>;
} & { readonly [Meta]: SourceMeta; readonly "~source"?: { readonly name: N; readonly schema: C } };

/** Any declared source, for constraints. */
export interface AnySource {
  readonly [Meta]: SourceMeta;
  readonly "~source"?: { readonly name: string; readonly schema: Schema };
}

interface SourceOptions<C extends Schema> {
  readonly schema: C;
  /** The timestamp column that holds the event's own time. */
  readonly eventTime: ColumnsOf<C, Date>;
  /** A column that orders corrections of equal event time: the larger version is later. */
  readonly version?: ColumnsOf<C, number | bigint | Date | null>;
  /** A timestamp column that says when the event arrived; by default the transport says it. */
  readonly ingestedAt?: ColumnsOf<C, Date>;
  /**
   * What "now" is: `wall`, the wall clock (default), or `stream`, for replays: the first instant after the largest
   * event time applied.
   */
  readonly clock?: "wall" | "stream";
  /** How messages are encoded: `json()` (default), `avro()`, `protobuf()`, `decodeWith()`. Files and pushes are not. */
  readonly format?: EventFormat;
  readonly description?: string;
  readonly owner?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

export interface StreamSourceOptions<C extends Schema, L> extends SourceOptions<C> {
  readonly stream: StreamConnector;
  /** How late events may be before a row counts as settled; drops nothing. */
  readonly lateness: CheckedDuration<L>;
  /** A string column: events of equal id and event time are one event. */
  readonly id?: ColumnsOf<C, string>;
  /** Events further ahead of their arrival than this go to the dead letters. Default `"1h"`. */
  readonly futureBound?: Duration;
}

export interface TableSourceOptions<C extends Schema> extends SourceOptions<C> {
  readonly table: StreamConnector;
  /** A bool column: true makes every feature of the row null from its event time on. */
  readonly deleted?: ColumnsOf<C, boolean | null>;
}

const HOUR_MS = 3_600_000;

/** Declares a stream of events. */
export function streamSource<const N extends string, const C extends Schema, const L extends string>(
  name: N,
  options: StreamSourceOptions<C, L>,
): Source<N, C> {
  return source(name, "stream_source", options.stream, options, {
    id: options.id ?? null,
    deleted: null,
    latenessMs: durationMs(options.lateness as string),
    futureBoundMs: options.futureBound === undefined ? HOUR_MS : durationMs(options.futureBound),
  });
}

/**
 * Declares a table of slowly changing facts: a stream of row versions. The id of a version is the hash of its row, so
 * loading it again adds nothing; a missing row deletes nothing.
 */
export function tableSource<const N extends string, const C extends Schema>(
  name: N,
  options: TableSourceOptions<C>,
): Source<N, C> {
  return source(name, "table_source", options.table, options, {
    id: null,
    deleted: options.deleted ?? null,
    latenessMs: 0,
    futureBoundMs: HOUR_MS,
  });
}

function source<N extends string, C extends Schema>(
  name: N,
  kind: SourceMeta["kind"],
  connector: StreamConnector,
  options: SourceOptions<C>,
  facts: Pick<SourceMeta, "id" | "deleted" | "latenessMs" | "futureBoundMs">,
): Source<N, C> {
  checkName("a source", name);
  const columns = Object.entries(options.schema).map(([column, type]) => {
    checkName(`a column of source '${name}'`, column);
    return { name: column, type: type.spec };
  });
  const meta: SourceMeta = Object.freeze({
    kind,
    name,
    connector,
    format: options.format ?? json(),
    columns,
    eventTime: options.eventTime,
    version: options.version ?? null,
    ingestedAt: options.ingestedAt ?? null,
    clock: options.clock ?? "wall",
    description: options.description ?? "",
    owner: options.owner ?? "",
    tags: options.tags ?? {},
    ...facts,
  });
  checkRole(meta, "eventTime", meta.eventTime, ["timestamp"], false);
  checkRole(meta, "id", meta.id, ["string"], false);
  checkRole(meta, "version", meta.version, ["int32", "int64", "timestamp", "float64"], true);
  checkRole(meta, "ingestedAt", meta.ingestedAt, ["timestamp"], false);
  checkRole(meta, "deleted", meta.deleted, ["bool"], true);
  const byName = columns.map(
    (column) => [column.name, expr({ op: "column", source: name, column: column.name, type: column.type })] as const,
  );
  // The cast claims that each column's expression has the type of its schema entry, which is how they were made.
  return Object.freeze(Object.assign(Object.fromEntries(byName), { [Meta]: meta })) as Source<N, C>;
}

function checkRole(meta: SourceMeta, role: string, column: string | null, kinds: string[], nullable: boolean): void {
  if (column === null) return;
  const type = meta.columns.find((c) => c.name === column)?.type;
  if (type === undefined || !kinds.includes(type.kind) || (type.nullable && !nullable)) {
    throw millraceError(
      "DEFINITION_INVALID",
      `Source '${meta.name}' names '${column}' as its ${role}: it must be a column of its schema of type ${kinds.join(" or ")}${nullable ? "" : ", not nullable"}.`,
    );
  }
}
