import { millraceError } from "./errors.ts";

/** Where S3-compatible objects are; credentials come from the default chain of AWS. */
export interface S3Place {
  /** Of a server that is not AWS's, such as `http://localhost:9000`. */
  readonly endpoint: string | null;
  readonly region: string | null;
  /** Buckets in the path instead of the host's name: what most other servers need. */
  readonly pathStyle: boolean;
}

/** History that lies in Parquet or CSV files. */
export interface TableFilesConnector {
  readonly connector: "table_files";
  readonly format: "parquet" | "csv";
  /** Files and globs, local or `s3://bucket/key`. */
  readonly paths: readonly string[];
  readonly hivePartitions: boolean;
  readonly nullTexts: readonly string[];
  readonly s3: S3Place;
}

export interface TableFilesOptions {
  /** Columns from the folders' names, `…/day=2026-01-01/…`. Default true. */
  readonly hivePartitions?: boolean;
  readonly s3?: { readonly endpoint?: string; readonly region?: string; readonly pathStyle?: boolean };
}

/**
 * Reads a source's history from Parquet files: one path or several, with globs, local (relative to the working
 * directory) or in S3-compatible storage (`s3://bucket/users/*.parquet`). Columns are found by name.
 */
export function parquet(path: string | readonly string[], options: TableFilesOptions = {}): TableFilesConnector {
  return tableFiles("parquet", path, options, []);
}

/** As {@link parquet}, from CSV with a header. `nullTexts` are null beside the empty text. Default: none. */
export function csv(
  path: string | readonly string[],
  options: TableFilesOptions & { readonly nullTexts?: readonly string[] } = {},
): TableFilesConnector {
  return tableFiles("csv", path, options, options.nullTexts ?? []);
}

function tableFiles(
  format: "parquet" | "csv",
  path: string | readonly string[],
  { hivePartitions = true, s3 = {} }: TableFilesOptions,
  nullTexts: readonly string[],
): TableFilesConnector {
  const paths = typeof path === "string" ? [path] : [...path];
  for (const one of paths) {
    if (one === "" || (one.startsWith("s3:") && !/^s3:\/\/[^/*?]+\/.+/.test(one))) {
      throw millraceError("DEFINITION_INVALID", `${format}("${one}"): give a file, a glob, or s3://bucket/key.`);
    }
  }
  if (paths.length === 0) throw millraceError("DEFINITION_INVALID", `${format}([]): give at least one path.`);
  return Object.freeze({
    connector: "table_files",
    format,
    paths: Object.freeze(paths),
    hivePartitions,
    nullTexts: Object.freeze([...nullTexts]),
    s3: Object.freeze({
      endpoint: s3.endpoint ?? null,
      region: s3.region ?? null,
      pathStyle: s3.pathStyle ?? s3.endpoint !== undefined,
    }),
  });
}
