import type { AggregationSpec } from "../../definitions/aggregation-spec.ts";
import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { ColumnKind, ColumnTypeSpec } from "../../definitions/value.ts";
import type { Aggregation } from "./aggregation.ts";
import { countAggregation } from "./count.ts";
import { countDistinctAggregation } from "./count-distinct.ts";
import { lastNAggregation } from "./last-n.ts";
import { latestAggregation } from "./latest.ts";
import { maxAggregation } from "./max.ts";
import { meanAggregation, meanOfIntegersAggregation } from "./mean.ts";
import { minAggregation } from "./min.ts";
import { stddevAggregation, stddevOfIntegersAggregation } from "./stddev.ts";
import { sumAggregation, sumOfIntegersAggregation } from "./sum.ts";
import { varianceAggregation, varianceOfIntegersAggregation } from "./variance.ts";

export interface AggregationOptions {
  /** `sum` and `mean` keep Σx² too, so that one state serves them and `variance` or `stddev`. Default false. */
  readonly squares?: boolean;
}

const numeric: readonly ColumnKind[] = ["float64", "int32", "int64"];
const ordered: readonly ColumnKind[] = [...numeric, "timestamp", "string", "one_of"];

/** The aggregation that a spec names; `INVALID_AGGREGATION` if its input or `n` does not fit. */
export function aggregationOf(spec: AggregationSpec, options: AggregationOptions = {}): Aggregation {
  const squares = options.squares ?? false;
  switch (spec.name) {
    case "count":
      return countAggregation as Aggregation;
    case "sum":
      return (takesInt64(spec) ? sumOfIntegersAggregation(squares) : sumAggregation(squares)) as Aggregation;
    case "mean":
      return (takesInt64(spec) ? meanOfIntegersAggregation(squares) : meanAggregation(squares)) as Aggregation;
    case "variance":
      return (takesInt64(spec) ? varianceOfIntegersAggregation : varianceAggregation) as Aggregation;
    case "stddev":
      return (takesInt64(spec) ? stddevOfIntegersAggregation : stddevAggregation) as Aggregation;
    case "min":
      inputOf(spec, ordered);
      return minAggregation as Aggregation;
    case "max":
      inputOf(spec, ordered);
      return maxAggregation as Aggregation;
    case "latest":
      inputOf(spec);
      return latestAggregation as Aggregation;
    case "last_n":
      inputOf(spec);
      return lastNAggregation(lengthOf(spec)) as Aggregation;
    case "count_distinct":
      inputOf(spec);
      return countDistinctAggregation as Aggregation;
  }
}

/** The type of the aggregated column, which is one of `kinds` if they are given. */
export function inputOf(spec: AggregationSpec, kinds?: readonly ColumnKind[]): ColumnTypeSpec {
  if (spec.input === null) throw invalid(spec, "it has no input column", "Give it the column to aggregate");
  if (kinds !== undefined && !kinds.includes(spec.input.kind)) {
    throw invalid(spec, `its input is of type ${spec.input.kind}`, `Give it a column of type ${kinds.join(", ")}`);
  }
  return spec.input;
}

function takesInt64(spec: AggregationSpec): boolean {
  return inputOf(spec, numeric).kind === "int64";
}

function lengthOf(spec: AggregationSpec): number {
  const n = spec.n;
  if (n !== undefined && Number.isSafeInteger(n) && n >= 1) return n;
  throw invalid(spec, `its n is ${n}`, "Give it how many values to keep, an integer from 1");
}

function invalid(spec: AggregationSpec, why: string, remedy: string): MillraceError {
  return millraceError("INVALID_AGGREGATION", `The aggregation ${spec.name} cannot be computed: ${why}. ${remedy}.`);
}
