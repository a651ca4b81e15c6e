import { type Estimate, effectiveRows } from "./outcome-pair.ts";

/** A score of something that was (`label` 1) or was not (0). */
export interface ScoredLabel {
  readonly label: number;
  readonly answer: number;
  readonly weight: number;
}

/**
 * The area under the ROC curve, exactly: the share of the weight of (positive, negative) pairs whose scores are in the
 * right order, ties as half. Null unless there are both. Its standard error is Hanley and McNeil's (Radiology 143, 1982),
 * of effective numbers of rows.
 */
export function areaUnderCurve(scored: readonly ScoredLabel[]): Estimate | null {
  const sorted = [...scored].sort((a, b) => a.answer - b.answer);
  const sums = { positive: 0, positiveSquares: 0, negative: 0, negativeSquares: 0 };
  let right = 0;
  for (let i = 0; i < sorted.length; ) {
    const { answer } = sorted[i]!;
    let positive = 0;
    let negative = 0;
    for (; i < sorted.length && sorted[i]!.answer === answer; i++) {
      const { label, weight } = sorted[i]!;
      if (label === 1) {
        positive += weight;
        sums.positiveSquares += weight * weight;
      } else {
        negative += weight;
        sums.negativeSquares += weight * weight;
      }
    }
    right += positive * (sums.negative + negative / 2);
    sums.positive += positive;
    sums.negative += negative;
  }
  if (sums.positive === 0 || sums.negative === 0) return null;
  const value = right / (sums.positive * sums.negative);
  const n = effectiveRows(sums.positive, sums.positiveSquares);
  const m = effectiveRows(sums.negative, sums.negativeSquares);
  const ofPositives = value / (2 - value) - value * value;
  const ofNegatives = (2 * value * value) / (1 + value) - value * value;
  const variance = (value * (1 - value) + (n - 1) * ofPositives + (m - 1) * ofNegatives) / (n * m);
  return { value, error: Math.sqrt(Math.max(0, variance)) };
}
