import type { BoundedMetric } from "../../definitions/outcome.ts";
import type { Estimate } from "./outcome-pair.ts";

export type QualityMetric = BoundedMetric | "expected_calibration_error" | "positive_ratio" | "mean_prediction";

/** Absent where there is none: of no rows, an `auc` of one class only. */
export type QualityMetrics = Readonly<Partial<Record<QualityMetric, Estimate>>>;

/** The smallest probability that a logarithm is taken of: the double's epsilon, as scikit-learn's. */
const LEAST_PROBABILITY = 2 ** -52;

/** The logarithmic loss of what came true with a predicted probability. */
export function logLoss(probability: number): number {
  return -Math.log(Math.min(1 - LEAST_PROBABILITY, Math.max(LEAST_PROBABILITY, probability)));
}

/** Leaves out what is null. */
export function presentMetrics(all: Readonly<Partial<Record<QualityMetric, Estimate | null>>>): QualityMetrics {
  return Object.fromEntries(Object.entries(all).filter(([, estimate]) => estimate !== null)) as QualityMetrics;
}
