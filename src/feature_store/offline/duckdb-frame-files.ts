import { rm } from "node:fs/promises";
import type { DuckDBConnection, DuckDBInstance, DuckDBResult } from "@duckdb/node-api";
import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { type DuckdbColumn, duckdbColumn } from "./duckdb-column.ts";
import type { DuckdbApi } from "./duckdb-database.ts";
import { literal, quoted, VECTOR_ROWS } from "./duckdb-event-table.ts";
import type { FrameBatch, FrameColumn, FrameReader } from "./frame-file.ts";
import { sliceColumn } from "./point-in-time.ts";

/** Reads and writes tables in files with a DuckDB of its own, in memory. */
export interface DuckdbFrameFiles {
  /**
   * Opens CSV, Parquet or JSON lines, told by the name. Of CSV the columns in `texts` are text whatever they look like:
   * a key `007` is not 7.
   * @throws `FILE_NOT_FOUND`, `FILE_FORMAT_UNKNOWN`, `FILE_CORRUPT`
   */
  open(path: string, texts?: readonly string[]): Promise<FrameReader>;
  /** Writes Parquet: timestamps as microseconds adjusted to UTC (pandas: `datetime64[us, UTC]`), int64 as BIGINT, one-ofs as text. */
  writeParquet(
    path: string,
    columns: readonly FrameColumn[],
    batches: Iterable<FrameBatch> | AsyncIterable<FrameBatch>,
    metadata?: Readonly<Record<string, string>>,
  ): Promise<void>;
  /** One file of several Parquet files of one schema, in their order. In CSV timestamps are ISO 8601 with `Z`. */
  concatenate(
    parts: readonly string[],
    path: string,
    format: "parquet" | "csv",
    metadata?: Readonly<Record<string, string>>,
  ): Promise<void>;
  close(): Promise<void>;
}

const MEMORY_LIMIT_MIB = 512;
/** DuckDB's zone is the machine's. */
const UTC = "SET TimeZone = 'UTC'";
const ISO_8601 = "'%Y-%m-%dT%H:%M:%S.%gZ'";

/** `folder` takes what DuckDB spills. */
export async function duckdbFrameFiles(folder: string): Promise<DuckdbFrameFiles> {
  const api = await import("@duckdb/node-api").catch((cause: unknown) => {
    throw millraceError(
      "PACKAGE_MISSING",
      "Reading and writing Parquet and CSV needs the package @duckdb/node-api: npm install @duckdb/node-api.",
      { cause },
    );
  });
  const instance: DuckDBInstance = await api.DuckDBInstance.create(":memory:", {
    memory_limit: `${MEMORY_LIMIT_MIB}MiB`,
    temp_directory: `${folder}/duckdb.tmp`,
    autoinstall_known_extensions: "false",
  });
  let tables = 0;

  async function open(path: string, texts: readonly string[] = []): Promise<FrameReader> {
    const connection = await instance.connect();
    try {
      let from = tableOf(path);
      if (texts.length > 0 && from.startsWith("read_csv")) {
        const known = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${from}`);
        const names = known.getRows().map(([name]) => String(name));
        const types = texts.filter((name) => names.includes(name)).map((name) => `${literal(name)}: 'VARCHAR'`);
        if (types.length > 0) from = `read_csv(${literal(path)}, types = {${types.join(", ")}})`;
      }
      const described = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${from}`);
      const columns = described.getRows().map(([name, type]) => columnOf(String(name), String(type)));
      const readers = columns.map(({ column }) => duckdbColumn(api, column.type));
      const selection = columns.map(({ select }) => select).join(", ");
      const counted = await connection.runAndReadAll(`SELECT count(*) FROM ${from}`);
      return {
        columns: columns.map(({ column }) => column),
        rows: Number(counted.getRows()[0]![0]),
        async *read(skip) {
          const reading = await instance.connect();
          try {
            const offset = skip === 0 ? "" : ` OFFSET ${skip}`;
            yield* batches(await reading.stream(`SELECT ${selection} FROM ${from}${offset}`), readers);
          } catch (error) {
            throw corrupt(path, error);
          } finally {
            reading.closeSync();
          }
        },
        close: async () => connection.closeSync(),
      };
    } catch (error) {
      connection.closeSync();
      throw /No files found|Cannot open file/.test(String(error))
        ? millraceError("FILE_NOT_FOUND", `There is no file ${path}: check the path.`, { cause: error })
        : corrupt(path, error);
    }
  }

  async function write(connection: DuckDBConnection, sql: string, path: string): Promise<void> {
    try {
      await connection.run(sql);
    } catch (error) {
      throw millraceError(
        "FILE_UNWRITABLE",
        `The file ${path} cannot be written: ${reason(error)}. Check that its folder exists and has room.`,
        { cause: error },
      );
    }
  }

  return {
    open,
    async writeParquet(path, columns, source, metadata = {}) {
      const connection = await instance.connect();
      const table = `frame_${tables++}`;
      try {
        const writers = columns.map(({ type }) => duckdbColumn(api, type));
        const ddl = columns.map(({ name }, i) => `${quoted(name)} ${String(writers[i]!.type)}`).join(", ");
        await connection.run(`CREATE TABLE ${table} (${ddl})`);
        const appender = await connection.createAppender(table);
        for await (const batch of source) appendBatch(api, appender, writers, batch);
        appender.closeSync();
        const selection = columns.map(({ name, type }) =>
          type.kind === "timestamp" ? `${quoted(name)}::TIMESTAMP::TIMESTAMPTZ AS ${quoted(name)}` : quoted(name),
        );
        await connection.run(UTC);
        await write(
          connection,
          `COPY (SELECT ${selection.join(", ")} FROM ${table}) TO ${literal(path)} (${parquet(metadata)})`,
          path,
        );
        await connection.run(`DROP TABLE ${table}`);
      } finally {
        connection.closeSync();
      }
    },
    async concatenate(parts, path, format, metadata = {}) {
      const connection = await instance.connect();
      try {
        const from = `read_parquet([${parts.map(literal).join(", ")}])`;
        const options = format === "parquet" ? parquet(metadata) : `FORMAT csv, HEADER, TIMESTAMPFORMAT ${ISO_8601}`;
        await connection.run(UTC);
        await write(connection, `COPY (SELECT * FROM ${from}) TO ${literal(path)} (${options})`, path);
      } finally {
        connection.closeSync();
      }
    },
    async close() {
      instance.closeSync();
      await rm(`${folder}/duckdb.tmp`, { recursive: true, force: true });
    },
  };
}

async function* batches(result: DuckDBResult, readers: readonly DuckdbColumn[]): AsyncGenerator<FrameBatch> {
  while (true) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) return;
    const count = chunk.rowCount;
    const columns = readers.map((reader, index) => {
      const values = new Array<Value>(count);
      reader.read(chunk.getColumnVector(index), count, (row, value) => {
        // Doubles of a file may be NaN or infinite, or −0: none of them is a value.
        values[row] = typeof value === "number" ? (Number.isFinite(value) ? value + 0 : null) : value;
      });
      return values;
    });
    yield { count, columns };
  }
}

function appendBatch(
  api: DuckdbApi,
  appender: Awaited<ReturnType<DuckDBConnection["createAppender"]>>,
  writers: readonly DuckdbColumn[],
  { count, columns }: FrameBatch,
): void {
  for (let from = 0; from < count; from += VECTOR_ROWS) {
    const rows = Math.min(VECTOR_ROWS, count - from);
    const chunk = api.DuckDBDataChunk.create(
      writers.map(({ type }) => type),
      rows,
    );
    writers.forEach((writer, index) => {
      writer.write(chunk.getColumnVector(index), sliceColumn(columns[index]!, from, from + rows), rows);
    });
    appender.appendDataChunk(chunk);
  }
}

function parquet(metadata: Readonly<Record<string, string>>): string {
  const entries = Object.entries(metadata).map(([key, value]) => `${literal(key)}: ${literal(value)}`);
  return `FORMAT parquet, COMPRESSION zstd${entries.length === 0 ? "" : `, KV_METADATA {${entries.join(", ")}}`}`;
}

function tableOf(path: string): string {
  if (/\.parquet$/i.test(path)) return `read_parquet(${literal(path)})`;
  if (/\.csv(\.gz|\.zst)?$/i.test(path)) return `read_csv(${literal(path)})`;
  if (/\.(jsonl|ndjson)(\.gz)?$/i.test(path)) return `read_json_auto(${literal(path)})`;
  throw millraceError(
    "FILE_FORMAT_UNKNOWN",
    `The format of ${path} is unknown: use a name that ends in .parquet, .csv, .jsonl or .arrow.`,
  );
}

/** The type that a file's column has here, and how it is selected so. */
function columnOf(name: string, sqlType: string): { readonly column: FrameColumn; readonly select: string } {
  const id = quoted(name);
  const of = (kind: ColumnTypeSpec["kind"], select: string = id): ReturnType<typeof columnOf> => ({
    column: { name, type: { kind, nullable: true } },
    select,
  });
  if (/^(TIMESTAMP|DATE)/.test(sqlType)) {
    // Floored to milliseconds, also before 1970.
    return of("timestamp", `make_timestamp((floor(epoch_us(${id}) / 1000) * 1000)::BIGINT)::TIMESTAMP_MS`);
  }
  if (/^(TINYINT|SMALLINT|INTEGER|UTINYINT|USMALLINT)$/.test(sqlType)) return of("int32", `${id}::INTEGER`);
  if (/^(BIGINT|UINTEGER|UBIGINT|HUGEINT|UHUGEINT)$/.test(sqlType)) return of("int64", `${id}::BIGINT`);
  if (/^(DOUBLE|FLOAT|DECIMAL)/.test(sqlType) && !sqlType.endsWith("[]")) return of("float64", `${id}::DOUBLE`);
  if (sqlType === "BOOLEAN") return of("bool");
  const item = /^(VARCHAR|DOUBLE|BIGINT|INTEGER|BOOLEAN)\[\]$/.exec(sqlType)?.[1];
  if (item !== undefined) {
    const kinds = { VARCHAR: "string", DOUBLE: "float64", BIGINT: "int64", INTEGER: "int32", BOOLEAN: "bool" } as const;
    const type = { kind: kinds[item as keyof typeof kinds], nullable: true };
    return { column: { name, type: { kind: "list", nullable: true, item: type } }, select: id };
  }
  return of("string", `${id}::VARCHAR`);
}

function corrupt(path: string, cause: unknown): MillraceError | unknown {
  if (cause instanceof Error && cause.name === "MillraceError") return cause;
  return millraceError("FILE_CORRUPT", `The file ${path} cannot be read: ${reason(cause)}`, { cause });
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.split("\n")[0]! : String(error);
}
