import type { ScoredLabel } from "./area-under-curve.ts";

/** Predictions of about one probability. */
export interface CalibrationBin {
  /** Above it (the first bin: from it) … */
  readonly above: number;
  /** … up to and with it. */
  readonly upTo: number;
  readonly rows: number;
  readonly weight: number;
  /** Mean probability, and the share that came true; null without rows. */
  readonly predicted: number | null;
  readonly observed: number | null;
}

const BINS = 10;
const EDGES: readonly number[] = Array.from({ length: BINS + 1 }, (_, i) => i / BINS);

/** Ten bins of equal width, and the expected calibration error: the mean of |predicted − observed|, weighted by bin. */
export function calibration(scored: readonly ScoredLabel[]): {
  readonly bins: readonly CalibrationBin[];
  readonly error: number | null;
} {
  const sums = EDGES.slice(1).map(() => ({ rows: 0, weight: 0, predicted: 0, observed: 0 }));
  for (const { answer, label, weight } of scored) {
    let bin = 0;
    while (bin < BINS - 1 && answer > EDGES[bin + 1]!) bin++;
    const sum = sums[bin]!;
    sum.rows++;
    sum.weight += weight;
    sum.predicted += weight * answer;
    sum.observed += weight * label;
  }
  const total = sums.reduce((weight, sum) => weight + sum.weight, 0);
  const off = sums.reduce((error, sum) => error + Math.abs(sum.predicted - sum.observed), 0);
  const bins = sums.map(({ rows, weight, predicted, observed }, bin) => ({
    above: EDGES[bin]!,
    upTo: EDGES[bin + 1]!,
    rows,
    weight,
    predicted: weight === 0 ? null : predicted / weight,
    observed: weight === 0 ? null : observed / weight,
  }));
  return { bins, error: total === 0 ? null : off / total };
}
