import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { SourceMeta } from "../definitions/source.ts";
import type { ColumnTypeSpec } from "../definitions/value.ts";
import type { BeamParquet } from "../feature_engineering/beam/beam-job.ts";

/** A stream's files are not to be too many. */
const EVERY_MS = 300_000;

/**
 * How raw events become files by day: `_event_time`, `_ingested_at`, `_partition`, `_offset`, `_payload_hash`, the
 * declared version and id as `_version` and `_event_id`, and the declared columns; times in UTC. `folder` is a path here
 * or a URL; `everyMs` how long a stream's events are gathered for a file, default five minutes; `anew` (default false)
 * sets aside what a former run of the generation wrote.
 */
export function beamParquet(
  folder: string,
  sources: readonly SourceMeta[],
  { everyMs = EVERY_MS, anew = false }: { readonly everyMs?: number | undefined; readonly anew?: boolean | undefined },
): BeamParquet {
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(folder);
  return {
    folder: isUrl ? folder.replace(/\/$/, "") : pathToFileURL(resolve(folder)).pathname,
    every_ms: everyMs,
    anew,
    select: Object.fromEntries(sources.map((source) => [source.name, selectOf(source)])),
  };
}

interface ParquetColumn {
  readonly name: string;
  /** As history's rows have it, and its type there. */
  readonly from: string;
  readonly json: string;
  readonly sql: string;
}

function selectOf(source: SourceMeta): string {
  const time = (from: string): string => `make_timestamp(${from} * 1000)::TIMESTAMPTZ`;
  const version = source.columns.find((column) => column.name === source.version)?.type.kind;
  const columns: readonly ParquetColumn[] = [
    { name: "_event_time", from: "t", json: "BIGINT", sql: time("t") },
    { name: "_ingested_at", from: "a", json: "BIGINT", sql: time("a") },
    { name: "_partition", from: "p", json: "VARCHAR", sql: "p" },
    { name: "_offset", from: "o", json: "BIGINT", sql: "o" },
    { name: "_payload_hash", from: "h", json: "VARCHAR", sql: "h" },
    ...(version === undefined
      ? []
      : [{ name: "_version", from: "v", json: version === "int64" ? "BIGINT" : "DOUBLE", sql: "v" }]),
    ...(source.id === null && source.kind !== "table_source"
      ? []
      : [{ name: "_event_id", from: "i", json: "VARCHAR", sql: "i" }]),
    ...source.columns.map(({ name, type }, index) => {
      const from = `c${index}`;
      return {
        name,
        from,
        json: jsonType(type),
        sql: type.kind === "timestamp" ? time(from) : listOfTimes(type, from),
      };
    }),
  ];
  const read = `read_json($FILE, format = 'newline_delimited', columns = {${columns.map(({ from, json }) => `${from}: '${json}'`).join(", ")}})`;
  return `SELECT ${columns.map(({ name, sql }) => `${sql} AS "${name}"`).join(", ")} FROM ${read}`;
}

function listOfTimes(type: ColumnTypeSpec, from: string): string {
  if (type.kind !== "list" || type.item?.kind !== "timestamp") return from;
  return `list_transform(${from}, x -> make_timestamp(x * 1000)::TIMESTAMPTZ)`;
}

function jsonType(type: ColumnTypeSpec): string {
  switch (type.kind) {
    case "string":
    case "one_of":
      return "VARCHAR";
    case "int64":
    case "timestamp":
      return "BIGINT";
    case "int32":
      return "INTEGER";
    case "float64":
      return "DOUBLE";
    case "bool":
      return "BOOLEAN";
    case "list":
      return `${jsonType(type.item!)}[]`;
  }
}
