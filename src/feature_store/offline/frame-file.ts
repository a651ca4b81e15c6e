import type { ColumnTypeSpec } from "../../definitions/value.ts";
import type { ColumnValues } from "./point-in-time.ts";

export interface FrameColumn {
  readonly name: string;
  readonly type: ColumnTypeSpec;
}

/** Some thousand rows, by column. */
export interface FrameBatch {
  readonly count: number;
  readonly columns: readonly ColumnValues[];
}

/** A table in a file, read in the file's order without holding it. */
export interface FrameReader {
  readonly columns: readonly FrameColumn[];
  readonly rows: number;
  /** From this row on. */
  read(skip: number): AsyncIterable<FrameBatch>;
  close(): Promise<void>;
}

export type FrameFormat = "parquet" | "csv" | "arrow";

/** The key under which the metadata of a Parquet or Arrow file holds the training set's manifest, as JSON. */
export const MANIFEST_KEY = "millrace";
