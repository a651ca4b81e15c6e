import type { AggregationSpec } from "../../definitions/aggregation-spec.ts";
import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { ColumnKind, ColumnTypeSpec } from "../../definitions/value.ts";
import type { Aggregation } from "./aggregation.ts";
import { countAggregation } from "./count.ts";
import { countDistinctAggregation } from "./count-distinct.ts";
import { firstAggregation } from "./first.ts";
import { flatMax, flatMin } from "./flat-extreme.ts";
import type { FlatState } from "./flat-state.ts";
import { histogramAggregation } from "./histogram.ts";
import { lastNAggregation } from "./last-n.ts";
import { latestAggregation } from "./latest.ts";
import { maxAggregation } from "./max.ts";
import { meanAggregation, meanOfIntegersAggregation } from "./mean.ts";
import { minAggregation } from "./min.ts";
import { quantileAggregation, quantilesAggregation } from "./quantile.ts";
import { stddevAggregation, stddevOfIntegersAggregation } from "./stddev.ts";
import { sumAggregation, sumOfIntegersAggregation } from "./sum.ts";
import { topKAggregation } from "./top-k.ts";
import { varianceAggregation, varianceOfIntegersAggregation } from "./variance.ts";

export interface AggregationOptions {
  /** `sum` and `mean` keep Σx² too, so that one state serves them and `variance` or `stddev`. Default false. */
  readonly squares?: boolean;
}

const numeric: readonly ColumnKind[] = ["float64", "int32", "int64"];
const ordered: readonly ColumnKind[] = [...numeric, "timestamp", "string", "one_of"];
const scalar: readonly ColumnKind[] = [...ordered, "bool"];

/** The aggregation that a spec names; `INVALID_AGGREGATION` if its input or a parameter does not fit. */
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
      return withFlat(spec, minAggregation as Aggregation, flatMin);
    case "max":
      return withFlat(spec, maxAggregation as Aggregation, flatMax);
    case "latest":
      inputOf(spec);
      return latestAggregation as Aggregation;
    case "first":
      inputOf(spec);
      return firstAggregation as Aggregation;
    case "last_n":
      inputOf(spec);
      return lastNAggregation(lengthOf(spec)) as Aggregation;
    case "count_distinct":
      inputOf(spec);
      return countDistinctAggregation as Aggregation;
    case "quantile":
      inputOf(spec, numeric);
      return quantileAggregation(probabilitiesOf(spec)[0]!) as Aggregation;
    case "quantiles":
      inputOf(spec, numeric);
      return quantilesAggregation(probabilitiesOf(spec)) as Aggregation;
    case "top_k":
      inputOf(spec, scalar);
      return topKAggregation(lengthOf(spec), limitOf(spec)) as Aggregation;
    case "histogram":
      inputOf(spec, numeric);
      return histogramAggregation(boundariesOf(spec)) as Aggregation;
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

/** Numbers fit a double; a text or an int64 does not. */
function withFlat(spec: AggregationSpec, aggregation: Aggregation, flat: FlatState): Aggregation {
  const { kind } = inputOf(spec, ordered);
  return kind === "float64" || kind === "int32" || kind === "timestamp" ? { ...aggregation, flat } : aggregation;
}

function takesInt64(spec: AggregationSpec): boolean {
  return inputOf(spec, numeric).kind === "int64";
}

function lengthOf(spec: AggregationSpec): number {
  const n = spec.n;
  if (n !== undefined && Number.isSafeInteger(n) && n >= 1) return n;
  throw invalid(spec, `its n is ${n}`, "Give it how many values to keep, an integer from 1");
}

function probabilitiesOf(spec: AggregationSpec): readonly number[] {
  const qs = spec.probabilities ?? [];
  if (qs.length > 0 && qs.every((q) => q >= 0 && q <= 1)) return qs;
  throw invalid(spec, `its probabilities are [${qs.join(", ")}]`, "Give it numbers from 0 to 1");
}

function limitOf(spec: AggregationSpec): number {
  const { limit } = spec;
  if (limit !== undefined && Number.isSafeInteger(limit) && limit >= 1) return limit;
  throw invalid(spec, `its limit is ${limit}`, "Give it how many distinct values to count, an integer from 1");
}

function boundariesOf(spec: AggregationSpec): readonly number[] {
  const boundaries = spec.boundaries ?? [];
  const ascending = boundaries.every((x, i) => Number.isFinite(x) && (i === 0 || x > boundaries[i - 1]!));
  if (ascending && boundaries.length > 0) return boundaries;
  throw invalid(spec, `its boundaries are [${boundaries.join(", ")}]`, "Give it finite numbers in ascending order");
}

function invalid(spec: AggregationSpec, why: string, remedy: string): MillraceError {
  return millraceError("INVALID_AGGREGATION", `The aggregation ${spec.name} cannot be computed: ${why}. ${remedy}.`);
}
