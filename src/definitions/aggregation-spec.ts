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

/** The type of an aggregation's value. */
export function aggregationType(spec: AggregationSpec): ColumnTypeSpec {
  switch (spec.name) {
    case "count":
    case "sum":
    case "count_distinct":
      return { kind: "float64", nullable: false };
    case "mean":
    case "variance":
    case "stddev":
      return { kind: "float64", nullable: true };
    case "min":
    case "max":
    case "latest":
      return { ...inputOf(spec), nullable: true };
    case "last_n":
      return { kind: "list", nullable: false, item: inputOf(spec) };
  }
}

function inputOf(spec: AggregationSpec): ColumnTypeSpec {
  if (spec.input === null) throw millraceError("DEFINITION_INVALID", `${spec.name} needs a column.`);
  return spec.input;
}
