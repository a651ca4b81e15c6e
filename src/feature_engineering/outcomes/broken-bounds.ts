import type { BoundedMetric, OutcomeBounds } from "../../definitions/outcome.ts";
import type { OutcomeQuality } from "./outcome-quality.ts";

export interface BoundVerdict {
  readonly metric: BoundedMetric;
  readonly bound: number;
  readonly value: number | null;
  readonly broken: boolean;
}

/** Pairs without which nothing is said. */
const LEAST_ROWS = 50;
/** The normal quantile of one-sided significance 0.001. */
const SIGNIFICANT = 3.0902;

/** Bounds that are broken by more than chance explains: by over three standard errors, of at least fifty pairs. */
export function brokenBounds(bounds: OutcomeBounds, quality: OutcomeQuality): readonly BoundVerdict[] {
  return (Object.entries(bounds) as [BoundedMetric, number][]).map(([metric, bound]) => {
    const estimate = quality.metrics[metric];
    if (estimate === undefined) return { metric, bound, value: null, broken: false };
    const { value, error } = estimate;
    const beyond =
      metric === "auc" || metric === "accuracy"
        ? bound - value
        : metric === "bias"
          ? Math.abs(value) - bound
          : value - bound;
    const broken = quality.rows >= LEAST_ROWS && error !== null && beyond > SIGNIFICANT * error;
    return { metric, bound, value, broken };
  });
}
