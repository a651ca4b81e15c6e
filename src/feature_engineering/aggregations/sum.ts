import type { Aggregation } from "./aggregation.ts";
import { type IntMoments, intMoments1, intMoments2, sumOfIntMoments } from "./int-moments.ts";
import { type Moments, moments1, moments2, sumOfMoments } from "./moments.ts";

/**
 * The exact sum, rounded once to the nearest double; 0 for no values, null if it overflows.
 *
 * With `squares` the state has the layout of `variance`, so that one state can serve both.
 */
export function sumAggregation(squares: boolean): Aggregation<Moments> {
  return { name: "sum", takesNulls: false, ...(squares ? moments2 : moments1), finish: sumOfMoments };
}

/** The same of int64 values. */
export function sumOfIntegersAggregation(squares: boolean): Aggregation<IntMoments> {
  return { name: "sum", takesNulls: false, ...(squares ? intMoments2 : intMoments1), finish: sumOfIntMoments };
}
