import type { Aggregation } from "./aggregation.ts";
import { type IntMoments, intMoments2, varianceOfIntMoments } from "./int-moments.ts";
import { type Moments, moments2, varianceOfMoments } from "./moments.ts";

/** The sample variance (n − 1), from the exact n·Σx² − (Σx)²; null below two values or if that overflows. */
export const varianceAggregation: Aggregation<Moments> = {
  name: "variance",
  takesNulls: false,
  ...moments2,
  finish: varianceOfMoments,
};

/** The same of int64 values. */
export const varianceOfIntegersAggregation: Aggregation<IntMoments> = {
  name: "variance",
  takesNulls: false,
  ...intMoments2,
  finish: varianceOfIntMoments,
};
