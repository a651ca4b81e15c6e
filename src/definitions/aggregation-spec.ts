import { millraceError } from "./errors.ts";
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
  | "first"
  | "last_n"
  | "count_distinct"
  | "quantile"
  | "quantiles"
  | "top_k"
  | "histogram";

/** One aggregation as plain data: what a plan holds. */
export interface AggregationSpec {
  readonly name: AggregationName;
  /** The type of the aggregated column; null for `count`, which counts events. */
  readonly input: ColumnTypeSpec | null;
  /** How many values `last_n` keeps and `top_k` gives. */
  readonly n?: number;
  /** What `quantiles` gives, in this order, each from 0 to 1; the only one of `quantile`. */
  readonly probabilities?: readonly number[];
  /** How many distinct values `top_k` counts before it fails. */
  readonly limit?: number;
  /** Where the buckets of `histogram` meet, ascending. */
  readonly boundaries?: readonly number[];
}

/** The type of an aggregation's value. */
export function aggregationType(spec: AggregationSpec): ColumnTypeSpec {
  switch (spec.name) {
    case "count":
    case "sum":
    case "count_distinct":
      return number;
    case "mean":
    case "variance":
    case "stddev":
    case "quantile":
      return { kind: "float64", nullable: true };
    case "min":
    case "max":
    case "latest":
    case "first":
      return { ...inputOf(spec), nullable: true };
    case "last_n":
      return { kind: "list", nullable: false, item: inputOf(spec) };
    case "top_k":
      return { kind: "list", nullable: true, item: { ...inputOf(spec), nullable: false } };
    case "quantiles":
      return { kind: "list", nullable: true, item: number };
    case "histogram":
      return { kind: "list", nullable: false, item: number };
  }
}

/** How many items each value of an aggregation has that is a list of one length; null for others. */
export function listLength(spec: AggregationSpec): number | null {
  return spec.name === "quantiles" ? spec.probabilities!.length : null;
}

const number: ColumnTypeSpec = { kind: "float64", nullable: false };

function inputOf(spec: AggregationSpec): ColumnTypeSpec {
  if (spec.input === null) throw millraceError("DEFINITION_INVALID", `${spec.name} needs a column.`);
  return spec.input;
}
