import type { ColumnTypeSpec } from "./value.ts";

export type AggregationName =
  | "count"
  | "sum"
  | "mean"
  | "variance"
  | "stddev"
  | "min"
  | "max"
  | "latest"
  | "last_n"
  | "count_distinct";

/** One aggregation as plain data: what a plan holds. */
export interface AggregationSpec {
  readonly name: AggregationName;
  /** The type of the aggregated column; null for `count`, which counts events. */
  readonly input: ColumnTypeSpec | null;
  /** How many values `last_n` keeps. */
  readonly n?: number;
}
