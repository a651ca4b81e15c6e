import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DuckDBConnection, DuckDBValue } from "@duckdb/node-api";
import { millraceError } from "../../definitions/errors.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { writeArrowFrame } from "./arrow-frame-files.ts";
import { duckdbFrameFiles } from "./duckdb-frame-files.ts";
import { type FrameFormat, MANIFEST_KEY } from "./frame-file.ts";

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

/** A frame as a file's bytes, for answers over HTTP. Parquet and Arrow carry the manifest in their metadata. */
export async function encodeFrame(
  format: FrameFormat,
  { columns, rows }: Frame,
  manifest: object | null = null,
): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-frame-"));
  const files = await duckdbFrameFiles(folder);
  try {
    const batch = { count: rows.length, columns: columns.map((_, index) => rows.map((row) => row[index]!)) };
    const metadata = manifest === null ? {} : { [MANIFEST_KEY]: JSON.stringify(manifest) };
    const path = join(folder, `frame.${format}`);
    if (format === "arrow") {
      await writeArrowFrame(path, columns, [batch], metadata);
    } else {
      const parquet = join(folder, "rows.parquet");
      await files.writeParquet(parquet, columns, [batch], metadata);
      if (format === "parquet") return await readFile(parquet);
      await files.concatenate([parquet], path, format);
    }
    return await readFile(path);
  } finally {
    await files.close();
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

function formatOf(path: string): "parquet" | "csv" | "jsonl" {
  if (/\.parquet$/i.test(path)) return "parquet";
  if (/\.csv(\.gz)?$/i.test(path)) return "csv";
  if (/\.(jsonl|ndjson)(\.gz)?$/i.test(path)) return "jsonl";
  throw millraceError(
    "FILE_FORMAT_UNKNOWN",
    `The format of ${path} is unknown: use a name that ends in .parquet, .csv or .jsonl.`,
  );
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.split("\n")[0]! : String(error);
}
