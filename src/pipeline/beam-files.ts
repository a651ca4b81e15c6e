import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { glob, readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type { S3Place } from "../definitions/table-files.ts";
import type { BeamFile } from "../feature_engineering/beam/beam-job.ts";
import { parquetSelections } from "../feature_store/offline/duckdb-table-files.ts";
import { s3Objects } from "../feature_store/offline/s3-objects.ts";
import { openReplayFile } from "../ingestion/sources/replay-file.ts";
import { resolveReplayPaths } from "../ingestion/sources/replay-paths.ts";

/** Files for a backfill, and how their records are read. */
export interface BeamFiles {
  readonly input: { readonly files: readonly BeamFile[] };
  readonly cells: "json" | "text" | "logged";
  readonly nulls: readonly string[];
}

/** Objects that are read from S3 are AWS's own, unless a source says otherwise. */
const AWS: S3Place = { endpoint: null, region: null, pathStyle: false };

/**
 * Finds files: paths, folders and globs, here or `s3://` (copied to `cache` first); CSV, JSON lines (both also gzip) or
 * Parquet, all of one format. Default: those that the source itself names.
 * @throws `OPTION_INVALID`, `FILE_NOT_FOUND`, `FILE_FORMAT_UNKNOWN`, `FILE_URL_UNSUPPORTED`, `FILE_COLUMN_MISSING`,
 * `FILE_COLUMN_TYPE`
 */
export async function beamFiles(
  source: SourceMeta,
  patterns: readonly string[] | undefined,
  cache: string,
): Promise<BeamFiles> {
  const { connector } = source;
  const replayed = connector.connector === "file_replay" ? connector : null;
  const table = connector.connector === "table_files" ? connector : null;
  const wanted = patterns ?? replayed?.paths ?? table?.paths;
  if (wanted === undefined) {
    throw millraceError(
      "OPTION_INVALID",
      "--files says which files hold the source's events: CSV, JSON lines or Parquet.",
    );
  }
  const paths: string[] = [];
  for (const path of wanted) paths.push(...(await hereOf(path, table?.s3 ?? AWS, cache)));
  const parquet = await parquetOf(paths);
  if (parquet !== null) {
    const selections = await parquetSelections(source, parquet, table?.hivePartitions ?? true);
    const files = await Promise.all(
      parquet.map(async (path, index) => ({ ...(await beamFile(path, "parquet")), select: selections[index]! })),
    );
    return { input: { files }, cells: "json", nulls: [] };
  }
  const given =
    patterns === undefined ? (replayed?.format ?? (table?.format === "csv" ? "csv" : undefined)) : undefined;
  const { files, format } = await resolveReplayPaths(paths, given ?? undefined);
  const nulls = replayed?.nullTexts ?? table?.nullTexts ?? [];
  if (format === "csv") await checkHeaders(source, files, nulls);
  return {
    input: { files: await Promise.all(files.map((path) => beamFile(path, format))) },
    cells: format === "csv" ? "text" : "json",
    nulls,
  };
}

/** A file's partition is the hash of what is in it: read again, it adds nothing to history. `format`: default by its name. */
export async function beamFile(path: string, format?: BeamFile["format"]): Promise<BeamFile> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  const named = /\.csv(\.gz)?$/i.test(path) ? "csv" : "jsonl";
  return { path: resolve(path), format: format ?? named, partition: hash.digest("hex").slice(0, 32) };
}

/** What a path names, on this machine's disks. */
async function hereOf(path: string, place: S3Place, cache: string): Promise<readonly string[]> {
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(path)?.[1]?.toLowerCase();
  if (scheme === undefined) return [path];
  if (scheme !== "s3" || !/^s3:\/\/[^/]+\/./i.test(path)) {
    throw millraceError(
      "FILE_URL_UNSUPPORTED",
      `${path} is not read: files lie on disks that all workers see, or in S3 (s3://bucket/key, which may be a pattern). Copy it there first.`,
    );
  }
  const copies = await s3Objects(path, place, cache);
  if (copies.length > 0) return copies;
  throw millraceError("FILE_NOT_FOUND", `No object matches ${path}: check the bucket and the key.`);
}

const PARQUET = /\.(parquet|pq)$/i;

/** The Parquet files of paths, folders and globs; null if they hold none. */
async function parquetOf(paths: readonly string[]): Promise<readonly string[] | null> {
  const found: string[] = [];
  for (const path of paths) {
    const facts = await stat(path).catch(() => null);
    if (facts?.isFile() === true) found.push(path);
    else if (facts?.isDirectory() === true) {
      for (const name of (await readdir(path, { recursive: true })).sort()) {
        // What begins so is no data, such as files that a later run has replaced.
        if (PARQUET.test(name) && !/(^|[\\/])[_.]/.test(name)) found.push(join(path, name));
      }
    } else {
      for await (const match of glob(path)) found.push(match);
    }
  }
  const parquet = found.filter((path) => PARQUET.test(path));
  if (parquet.length === 0) return null;
  if (parquet.length < found.length) {
    throw millraceError(
      "FILE_FORMAT_UNKNOWN",
      `${paths.join(", ")} are Parquet and others: backfill one format after the other.`,
    );
  }
  return [...new Set(parquet)].sort();
}

/** That a CSV file has the declared columns. */
async function checkHeaders(source: SourceMeta, files: readonly string[], nulls: readonly string[]): Promise<void> {
  const { columns, eventTime, format } = source;
  const settings = {
    columns: columns.map((column) => {
      const path = format.paths[column.name];
      return path === undefined ? column : { ...column, path };
    }),
    ...({
      eventTime,
      format: "csv",
      delimiter: ",",
      nulls,
      ingestedAt: null,
      missingColumns: "error",
      map: null,
    } as const),
  };
  for (const file of files) await openReplayFile(file, 0, settings);
}
