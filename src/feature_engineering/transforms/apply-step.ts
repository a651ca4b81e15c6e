import type { FittedStep } from "../../definitions/expression.ts";
import type {
  FittedKBins,
  FittedMaxAbs,
  FittedMinMax,
  FittedPower,
  FittedQuantile,
  FittedRobust,
  FittedStandardize,
  FittedTransform,
} from "./fitted-state.ts";
import { normalQuantile } from "./normal-quantile.ts";
import { evenlySpaced } from "./percentile.ts";
import { powerOf } from "./power-lambda.ts";
import { scaleOf } from "./spread.ts";

/**
 * The function of a fitted step, of numbers that are not null. Its result may be anything but meaningful: what is not
 * finite reads as null. The casts hold, since fitted state is checked against its steps when it is read.
 */
export function applyStep(step: FittedStep, fitted: FittedTransform): (x: number) => number {
  switch (step.op) {
    case "standardize": {
      const { mean, stddev } = fitted as FittedStandardize;
      return (x) => (x - mean) / stddev;
    }
    case "impute":
      return (x) => x;
    case "min_max": {
      const { min, max } = fitted as FittedMinMax;
      const scale = (step.high - step.low) / scaleOf(max - min);
      const offset = step.low - min * scale;
      if (!step.clip) return (x) => x * scale + offset;
      return (x) => Math.min(Math.max(x * scale + offset, step.low), step.high);
    }
    case "max_abs": {
      const scale = scaleOf((fitted as FittedMaxAbs).max_abs);
      if (!step.clip) return (x) => x / scale;
      return (x) => Math.min(Math.max(x / scale, -1), 1);
    }
    case "robust": {
      const { center, scale } = fitted as FittedRobust;
      return (x) => (x - center) / scale;
    }
    case "quantile":
      return quantileRank(Float64Array.from((fitted as FittedQuantile).quantiles), step.output);
    case "power": {
      const { lambda, mean, stddev } = fitted as FittedPower;
      return (x) => (powerOf(step.method, lambda, x) - mean) / stddev;
    }
    case "k_bins": {
      const edges = Float64Array.from((fitted as FittedKBins).edges);
      return (x) => countUpTo(edges, x);
    }
  }
}

/** How many of the increasing numbers are at most x. */
function countUpTo(numbers: Float64Array, x: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Ranks nearer to 0 or 1 than this would be far out on the normal distribution, up to infinity. */
const OUTERMOST = 1e-7;

function quantileRank(quantiles: Float64Array, output: "uniform" | "normal"): (x: number) => number {
  const ranks = Float64Array.from(evenlySpaced(0, 1, Math.max(1, quantiles.length)));
  const least = quantiles[0];
  const greatest = quantiles[quantiles.length - 1];
  // Nothing is known: the middle.
  if (least === undefined || greatest === undefined) return output === "uniform" ? () => 0.5 : () => 0;
  const descending = quantiles.map((x) => -x).reverse();
  const descendingRanks = ranks.map((rank) => -rank).reverse();
  // Where quantiles repeat, one direction gives the highest of their ranks and the other the lowest.
  // The two directions round apart: a hair outside of 0 to 1, where scikit-learn stays outside.
  const rank = (x: number): number =>
    Math.min(Math.max(0.5 * (interpolate(quantiles, ranks, x) - interpolate(descending, descendingRanks, -x)), 0), 1);
  if (output === "uniform") return (x) => (x === least ? 0 : x === greatest ? 1 : rank(x));
  const low = normalQuantile(OUTERMOST - Number.EPSILON);
  const high = normalQuantile(1 - (OUTERMOST - Number.EPSILON));
  return (x) => {
    const p = x - OUTERMOST < least ? 0 : x + OUTERMOST > greatest ? 1 : rank(x);
    return Math.min(Math.max(normalQuantile(p), low), high);
  };
}

/** The value at x of the line through points whose x increase; of several at one x the last. Rounded as NumPy does. */
function interpolate(xs: Float64Array, ys: Float64Array, x: number): number {
  const index = countUpTo(xs, x) - 1;
  if (index < 0) return ys[0]!;
  if (index === xs.length - 1 || xs[index] === x) return ys[index]!;
  const slope = (ys[index + 1]! - ys[index]!) / (xs[index + 1]! - xs[index]!);
  return slope * (x - xs[index]!) + ys[index]!;
}
