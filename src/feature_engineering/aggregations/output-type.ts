import type { AggregationSpec } from "../../definitions/aggregation-spec.ts";
import type { ColumnTypeSpec } from "../../definitions/value.ts";
import { inputOf } from "./aggregation-of.ts";

/** The type of an aggregation's value: nullable where no event, or too few, leave it without one. */
export function aggregationOutputType(spec: AggregationSpec): ColumnTypeSpec {
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
