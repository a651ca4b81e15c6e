import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { millraceError } from "../../definitions/errors.ts";
import type { SourceMeta } from "../../definitions/source.ts";
import type { TableFilesConnector } from "../../definitions/table-files.ts";
import type { ColumnTypeSpec } from "../../definitions/value.ts";
import { literal, quoted } from "./duckdb-event-table.ts";
import { s3Objects } from "./s3-objects.ts";

const MEMORY_LIMIT_MIB = 512;

/**
 * Makes JSON lines, or of CSV a CSV, of a source's declared columns of the files that its connector names, which a replay then reads like
 * any other: with the same checks, the same hashes, the same values. Files are matched with the declaration first.
 * The result is kept beside the copies of remote objects and made again only if a file has changed.
 * @throws `FILE_NOT_FOUND`, `FILE_COLUMN_MISSING`, `FILE_COLUMN_TYPE`, `FILE_CORRUPT`, `S3_UNAVAILABLE`
 */
export async function stageTableFiles(
  source: Pick<SourceMeta, "name" | "columns">,
  connector: TableFilesConnector,
  cache: string,
): Promise<string> {
  const { DuckDBInstance } = await importDuckdb();
  await mkdir(cache, { recursive: true });
  const local: string[] = [];
  for (const path of connector.paths) {
    if (!path.startsWith("s3:")) local.push(path);
    else {
      const copies = await s3Objects(path, connector.s3, cache);
      if (copies.length === 0) throw notFound(path);
      local.push(...copies);
    }
  }
  const instance = await DuckDBInstance.create(":memory:", {
    memory_limit: `${MEMORY_LIMIT_MIB}MiB`,
    temp_directory: join(cache, "duckdb.tmp"),
    autoinstall_known_extensions: "false",
  });
  const connection = await instance.connect();
  try {
    const files: string[] = [];
    for (const path of local) {
      const found = await connection.runAndReadAll(`SELECT file FROM glob(${literal(path)}) ORDER BY file`);
      const names = found.getRows().map(([file]) => String(file));
      if (names.length === 0) throw notFound(path);
      files.push(...names);
    }
    const facts = await Promise.all(
      files.map(async (file) => [file, (await stat(file)).size, (await stat(file)).mtimeMs]),
    );
    const id = createHash("sha256")
      .update(JSON.stringify([source, connector, facts]))
      .digest("hex")
      .slice(0, 32);
    const staged = join(cache, `${source.name}-${id}.${connector.format === "csv" ? "csv" : "jsonl"}`);
    if (existsSync(staged)) return staged;

    const from = tableOf(connector, files);
    const described = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${from}`).catch((cause: unknown) => {
      throw millraceError(
        "FILE_CORRUPT",
        `${connector.paths.join(", ")} cannot be read as ${connector.format}: ${reason(cause)}`,
        { cause },
      );
    });
    const types = new Map(described.getRows().map(([name, type]) => [String(name), String(type)]));
    const selection = selectionOf(source, connector.format, types);
    const temporary = `${staged}.${process.pid}.part`;
    try {
      await connection.run(
        `COPY (SELECT ${selection.join(", ")} FROM ${from}) TO ${literal(temporary)} (${connector.format === "csv" ? "FORMAT csv, HEADER" : "FORMAT json"})`,
      );
      await rename(temporary, staged);
    } catch (cause) {
      throw millraceError(
        "FILE_CORRUPT",
        `${connector.paths.join(", ")} cannot be read as ${connector.format}: ${reason(cause)}`,
        { cause },
      );
    } finally {
      await rm(temporary, { force: true });
    }
    return staged;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** The declared columns as SQL, of files whose columns have these types. @throws `FILE_COLUMN_MISSING`, `FILE_COLUMN_TYPE` */
function selectionOf(
  source: Pick<SourceMeta, "name" | "columns">,
  format: TableFilesConnector["format"],
  types: ReadonlyMap<string, string>,
): readonly string[] {
  return source.columns.map(({ name, type }) => {
    const stored = types.get(name);
    if (stored === undefined) {
      if (type.nullable) return `NULL AS ${quoted(name)}`;
      throw millraceError(
        "FILE_COLUMN_MISSING",
        `The files of source '${source.name}' have no column '${name}', which its schema declares: they have ${[...types.keys()].join(", ")}. Rename it, or declare what is there.`,
        { details: { source: source.name, column: name } },
      );
    }
    if (format === "parquet" && !fits(stored, type)) {
      throw millraceError(
        "FILE_COLUMN_TYPE",
        `Column '${name}' of the files of source '${source.name}' is ${stored}, which is no ${type.kind}: declare the column as it is, or convert the files.`,
        { details: { source: source.name, column: name, stored, declared: type.kind } },
      );
    }
    return `${selected(name, stored)} AS ${quoted(name)}`;
  });
}

/**
 * SQL that reads each Parquet file's declared columns, as {@link stageTableFiles} does; `$FILE` stands for the file.
 * @throws `FILE_COLUMN_MISSING`, `FILE_COLUMN_TYPE`, `FILE_CORRUPT`, `PACKAGE_MISSING`
 */
export async function parquetSelections(
  source: Pick<SourceMeta, "name" | "columns">,
  files: readonly string[],
  hivePartitions: boolean,
): Promise<readonly string[]> {
  const { DuckDBInstance } = await importDuckdb();
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const table = (file: string): string => `read_parquet(${file}, hive_partitioning = ${hivePartitions})`;
  try {
    const selections: string[] = [];
    for (const file of files) {
      const described = await connection
        .runAndReadAll(`DESCRIBE SELECT * FROM ${table(literal(file))}`)
        .catch((cause: unknown) => {
          throw millraceError("FILE_CORRUPT", `${file} cannot be read as parquet: ${reason(cause)}`, { cause });
        });
      const types = new Map(described.getRows().map(([name, type]) => [String(name), String(type)]));
      selections.push(`SELECT ${selectionOf(source, "parquet", types).join(", ")} FROM ${table("$FILE")}`);
    }
    return selections;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

function tableOf({ format, hivePartitions, nullTexts }: TableFilesConnector, files: readonly string[]): string {
  const list = `[${files.map(literal).join(", ")}]`;
  // Text from the folders' names stays text: the declaration says what it is.
  const shared = `union_by_name = true, hive_partitioning = ${hivePartitions}${format === "csv" ? ", hive_types_autocast = false" : ""}`;
  if (format === "parquet") return `read_parquet(${list}, ${shared})`;
  return `read_csv(${list}, ${shared}, header = true, all_varchar = true, nullstr = [${["", ...nullTexts].map(literal).join(", ")}])`;
}

/** As the decoder of JSON lines takes it: moments as epoch milliseconds, floored. */
function selected(name: string, stored: string): string {
  const id = quoted(name);
  if (/^(TIMESTAMP|DATE)/.test(stored)) return `floor(epoch_us(${id}) / 1000)::BIGINT`;
  if (stored.startsWith("DECIMAL") || stored === "FLOAT") return `${id}::DOUBLE`;
  if (stored === "UUID" || stored.startsWith("ENUM")) return `${id}::VARCHAR`;
  return id;
}

const INTEGER = /^U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$/;

/** Whether the decoder of JSON lines can read such values. */
function fits(stored: string, type: ColumnTypeSpec): boolean {
  if (type.kind === "list") return stored.endsWith("[]") && fits(stored.slice(0, -2), type.item!);
  if (stored === "VARCHAR") return ["string", "one_of", "timestamp", "int64"].includes(type.kind);
  switch (type.kind) {
    case "string":
    case "one_of":
      return stored === "UUID" || stored.startsWith("ENUM");
    case "int32":
    case "int64":
      return INTEGER.test(stored);
    case "float64":
      return INTEGER.test(stored) || /^(DOUBLE|FLOAT|DECIMAL)/.test(stored);
    case "bool":
      return stored === "BOOLEAN";
    case "timestamp":
      return /^(TIMESTAMP|DATE)/.test(stored) || INTEGER.test(stored);
  }
}

async function importDuckdb(): Promise<typeof import("@duckdb/node-api")> {
  return import("@duckdb/node-api").catch((cause: unknown) => {
    throw millraceError(
      "PACKAGE_MISSING",
      "Reading Parquet and CSV needs @duckdb/node-api: npm install @duckdb/node-api.",
      { cause },
    );
  });
}

function notFound(path: string): Error {
  return millraceError("FILE_NOT_FOUND", `No file matches ${path}: check the path.`);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.split("\n")[0]! : String(error);
}
