import type { Aggregation } from "./aggregation.ts";
import { type IntMoments, intMoments1, intMoments2, meanOfIntMoments } from "./int-moments.ts";
import { type Moments, meanOfMoments, moments1, moments2 } from "./moments.ts";

/**
 * The mean: of floats the rounded exact sum divided by n, of int64 the exact quotient rounded once. Null for no values.
 *
 * With `squares` the state has the layout of `variance`, so that one state can serve both.
 */
export function meanAggregation(squares: boolean): Aggregation<Moments> {
  return { name: "mean", takesNulls: false, ...(squares ? moments2 : moments1), finish: meanOfMoments };
}

/** The same of int64 values. */
export function meanOfIntegersAggregation(squares: boolean): Aggregation<IntMoments> {
  return { name: "mean", takesNulls: false, ...(squares ? intMoments2 : intMoments1), finish: meanOfIntMoments };
}
