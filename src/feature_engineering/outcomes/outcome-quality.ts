import type { OutcomeTask } from "../../definitions/outcome.ts";
import { areaUnderCurve, type ScoredLabel } from "./area-under-curve.ts";
import { type CalibrationBin, calibration } from "./calibration.ts";
import { type ClassQuality, classQuality } from "./class-quality.ts";
import { type OutcomePair, weightedMean } from "./outcome-pair.ts";
import { logLoss, presentMetrics, type QualityMetrics } from "./quality-metric.ts";

/** How good predictions were, by what became of them. */
export interface OutcomeQuality {
  readonly rows: number;
  /** How many predictions the rows stand for. */
  readonly weight: number;
  readonly metrics: QualityMetrics;
  /** Of probabilities; else empty. */
  readonly calibration: readonly CalibrationBin[];
  /** Of classes, by name; else empty. */
  readonly classes: readonly ClassQuality[];
}

/**
 * The quality of pairs, each counted with its weight. Of probabilities: `auc`, `log_loss`, `brier`, `accuracy` at 0.5,
 * `expected_calibration_error`. Of numbers: `mae`, `rmse`, and `bias`, the mean of prediction − label. Of classes:
 * `accuracy`, and of a probability per class `log_loss`; the class of probabilities is the largest, of equals the first.
 */
export function outcomeQuality(
  task: OutcomeTask,
  pairs: readonly OutcomePair[],
  classes: readonly string[] = [],
): OutcomeQuality {
  const weight = pairs.reduce((sum, pair) => sum + pair.weight, 0);
  const base = { rows: pairs.length, weight, calibration: [], classes: [] };
  // What pairs hold is what their task says.
  if (task === "binary") return { ...base, ...ofProbabilities(pairs as readonly ScoredLabel[]) };
  if (task === "regression") return { ...base, metrics: ofNumbers(pairs as readonly ScoredLabel[]) };
  const { metrics, byClass } = classQuality(pairs, classes);
  return { ...base, metrics, classes: byClass };
}

function ofProbabilities(pairs: readonly ScoredLabel[]): Pick<OutcomeQuality, "metrics" | "calibration"> {
  const { bins, error } = calibration(pairs);
  return {
    metrics: presentMetrics({
      auc: areaUnderCurve(pairs),
      log_loss: weightedMean(pairs, ({ label, answer }) => logLoss(label === 1 ? answer : 1 - answer)),
      brier: weightedMean(pairs, ({ label, answer }) => (answer - label) ** 2),
      accuracy: weightedMean(pairs, ({ label, answer }) => (Number(answer >= 0.5) === label ? 1 : 0)),
      expected_calibration_error: error === null ? null : { value: error, error: null },
      positive_ratio: weightedMean(pairs, ({ label }) => label),
      mean_prediction: weightedMean(pairs, ({ answer }) => answer),
    }),
    calibration: bins,
  };
}

function ofNumbers(pairs: readonly ScoredLabel[]): QualityMetrics {
  const square = weightedMean(pairs, ({ label, answer }) => (answer - label) ** 2);
  const rmse = square === null ? null : Math.sqrt(square.value);
  return presentMetrics({
    mae: weightedMean(pairs, ({ label, answer }) => Math.abs(answer - label)),
    // The error of a root: that of its square, over twice the root.
    rmse:
      rmse === null
        ? null
        : { value: rmse, error: square!.error === null || rmse === 0 ? null : square!.error / (2 * rmse) },
    bias: weightedMean(pairs, ({ label, answer }) => answer - label),
    mean_prediction: weightedMean(pairs, ({ answer }) => answer),
  });
}
