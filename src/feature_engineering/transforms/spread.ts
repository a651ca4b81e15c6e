import { type Moments, meanOfMoments, moments2, varianceOfMoments } from "../aggregations/moments.ts";
import { type FitPlace, fitOverflow } from "./fit-error.ts";

const EPSILON = Number.EPSILON;

/** The mean and the population's standard deviation of a training column; 0 and 1 of no values. */
export interface Spread {
  readonly mean: number;
  /** 1 where `constant`. */
  readonly stddev: number;
  /** All values are equal, or so close that scikit-learn's two-pass variance could not tell them apart. */
  readonly constant: boolean;
}

/** @throws `FIT_OVERFLOW` if the mean or the variance overflows. */
export function spreadOf(moments: Moments, place: FitPlace, step: string): Spread {
  const { n } = moments;
  if (n === 0) return { mean: 0, stddev: 1, constant: true };
  const mean = meanOfMoments(moments);
  const sampleVariance = n === 1 ? 0 : varianceOfMoments(moments);
  if (mean === null || sampleVariance === null) throw fitOverflow(place, "its mean or variance", step);
  // The sample's variance (n − 1) to the population's (n).
  const variance = n === 1 ? 0 : sampleVariance * ((n - 1) / n);
  const constant = variance <= n * EPSILON * variance + (n * mean * EPSILON) ** 2;
  return { mean: mean + 0, stddev: constant ? 1 : Math.sqrt(variance), constant };
}

/** The same of a list of values, each so many times. */
export function spreadOfValues(
  values: Float64Array,
  counts: Float64Array | null,
  place: FitPlace,
  step: string,
): Spread | null {
  const moments = moments2.create();
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]!)) return null;
    for (let count = counts === null ? 1 : counts[i]!; count > 0; count--) moments2.add(moments, values[i]!);
  }
  return spreadOf(moments, place, step);
}

/** A scale to divide by: 1 where it is too small to be more than a rounding error, as in scikit-learn. */
export function scaleOf(range: number): number {
  return range < 10 * EPSILON ? 1 : range;
}
