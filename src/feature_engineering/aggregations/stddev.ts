import type { Aggregation } from "./aggregation.ts";
import { type IntMoments, intMoments2, varianceOfIntMoments } from "./int-moments.ts";
import { type Moments, moments2, varianceOfMoments } from "./moments.ts";

/** The square root of the sample variance; null below two values. */
export const stddevAggregation: Aggregation<Moments> = {
  name: "stddev",
  takesNulls: false,
  ...moments2,
  finish: (state) => rootOrNull(varianceOfMoments(state)),
};

/** The same of int64 values. */
export const stddevOfIntegersAggregation: Aggregation<IntMoments> = {
  name: "stddev",
  takesNulls: false,
  ...intMoments2,
  finish: (state) => rootOrNull(varianceOfIntMoments(state)),
};

function rootOrNull(variance: number | null): number | null {
  return variance === null ? null : Math.sqrt(variance);
}
