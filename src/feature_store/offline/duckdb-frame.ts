import type { DuckDBConnection, DuckDBType, DuckDBValue } from "@duckdb/node-api";
import { millraceError } from "../../definitions/errors.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";

/** A table in memory: what entity frames and training sets are. */
export interface Frame {
  readonly columns: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  readonly rows: readonly (readonly Value[])[];
}

/** A table as read from a file: values as JSON-like natives, timestamps as epoch milliseconds. */
export interface FileFrame {
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

const CHUNK = 2_048;

/**
 * Writes a frame as Parquet or CSV, told by the file's ending. Timestamps are TIMESTAMP (UTC), int64 BIGINT, one-ofs
 * VARCHAR. An existing file is replaced in one step.
 * @throws `FILE_FORMAT_UNKNOWN`, `FILE_UNWRITABLE`
 */
export async function writeFrame(path: string, frame: Frame): Promise<void> {
  const format = formatOf(path);
  const { DuckDBDataChunk, DuckDBInstance } = await loadDuckdb();
  const duckdb = await loadDuckdb();
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const types = frame.columns.map((column) => duckdbType(duckdb, column.type));
    await connection.run(
      `CREATE TABLE frame (${frame.columns.map((column, i) => `${quoted(column.name)} ${types[i]!.toString()}`).join(", ")})`,
    );
    const appender = await connection.createAppender("frame");
    for (let from = 0; from < frame.rows.length; from += CHUNK) {
      const rows = frame.rows.slice(from, from + CHUNK);
      const chunk = DuckDBDataChunk.create(types, rows.length);
      for (let c = 0; c < types.length; c++) {
        const convert = converter(duckdb, frame.columns[c]!.type);
        chunk.setColumnValues(
          c,
          rows.map((row) => (row[c] === null ? null : convert(row[c]!))),
        );
      }
      appender.appendDataChunk(chunk);
    }
    appender.closeSync();
    const options = format === "parquet" ? "FORMAT parquet, COMPRESSION zstd" : "FORMAT csv, HEADER";
    await connection.run(`COPY frame TO ${literal(path)} (${options})`);
  } catch (error) {
    throw millraceError(
      "FILE_UNWRITABLE",
      `The file ${path} cannot be written: ${reason(error)}. Check that its folder exists and has room.`,
      { cause: error },
    );
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** Frames as bytes, for answers over HTTP. */
export async function encodeFrame(format: "parquet" | "csv", frame: Frame): Promise<Uint8Array> {
  const { mkdtemp, readFile, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const folder = await mkdtemp(join(tmpdir(), "millrace-frame-"));
  try {
    const path = join(folder, `frame.${format}`);
    await writeFrame(path, frame);
    return await readFile(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Reads an entity frame from CSV, Parquet or JSON lines.
 * @throws `FILE_NOT_FOUND`, `FILE_FORMAT_UNKNOWN`, `FILE_CORRUPT`
 */
export async function readFrame(path: string): Promise<FileFrame> {
  const { existsSync } = await import("node:fs");
  const format = formatOf(path);
  if (!existsSync(path)) throw millraceError("FILE_NOT_FOUND", `There is no file ${path}: check the path.`);
  const duckdb = await loadDuckdb();
  const instance = await duckdb.DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const table =
      format === "parquet"
        ? `read_parquet(${literal(path)})`
        : format === "csv"
          ? `read_csv(${literal(path)})`
          : `read_json_auto(${literal(path)})`;
    return await readAll(connection, `SELECT * FROM ${table}`);
  } catch (error) {
    throw millraceError("FILE_CORRUPT", `The file ${path} cannot be read as ${format}: ${reason(error)}`, {
      cause: error,
    });
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function readAll(connection: DuckDBConnection, sql: string): Promise<FileFrame> {
  const reader = await connection.runAndReadAll(sql);
  const columns = reader.columnNames();
  const rows = reader.getRows().map((row) => Object.fromEntries(row.map((value, i) => [columns[i]!, native(value)])));
  return { columns, rows };
}

/** Integers that a double holds are numbers, as in JSON: a lookup takes them for every numeric type. */
function native(value: DuckDBValue): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (value === null || typeof value !== "object") return value;
  if ("micros" in value && typeof value.micros === "bigint") return Number(value.micros / 1_000n);
  if ("items" in value && Array.isArray(value.items)) return value.items.map((item) => native(item as DuckDBValue));
  return String(value);
}

type DuckdbModule = typeof import("@duckdb/node-api");

async function loadDuckdb(): Promise<DuckdbModule> {
  try {
    return await import("@duckdb/node-api");
  } catch (error) {
    throw millraceError(
      "PACKAGE_MISSING",
      "Reading and writing Parquet needs the package @duckdb/node-api: npm install @duckdb/node-api.",
      { cause: error },
    );
  }
}

function duckdbType(duckdb: DuckdbModule, type: ColumnTypeSpec): DuckDBType {
  switch (type.kind) {
    case "string":
    case "one_of":
      return duckdb.VARCHAR;
    case "int64":
      return duckdb.BIGINT;
    case "int32":
      return duckdb.INTEGER;
    case "float64":
      return duckdb.DOUBLE;
    case "bool":
      return duckdb.BOOLEAN;
    case "timestamp":
      return duckdb.TIMESTAMP;
    case "list":
      return duckdb.LIST(duckdbType(duckdb, type.item!));
  }
}

function converter(duckdb: DuckdbModule, type: ColumnTypeSpec): (value: Value) => DuckDBValue {
  if (type.kind === "timestamp") return (value) => new duckdb.DuckDBTimestampValue(BigInt(value as number) * 1_000n);
  if (type.kind === "list") {
    const convert = converter(duckdb, type.item!);
    return (value) =>
      duckdb.listValue((value as readonly Value[]).map((item) => (item === null ? null : convert(item))));
  }
  return (value) => value as DuckDBValue;
}

function formatOf(path: string): "parquet" | "csv" | "jsonl" {
  if (/\.parquet$/i.test(path)) return "parquet";
  if (/\.csv(\.gz)?$/i.test(path)) return "csv";
  if (/\.(jsonl|ndjson)(\.gz)?$/i.test(path)) return "jsonl";
  throw millraceError(
    "FILE_FORMAT_UNKNOWN",
    `The format of ${path} is unknown: use a name that ends in .parquet, .csv or .jsonl.`,
  );
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.split("\n")[0]! : String(error);
}
