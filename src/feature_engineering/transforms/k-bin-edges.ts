import type { FittedStep } from "../../definitions/expression.ts";
import { type FitPlace, fitOverflow } from "./fit-error.ts";
import { kMeans } from "./k-means.ts";
import { evenlySpaced, percentile } from "./percentile.ts";
import type { SortedSample } from "./sample.ts";

/** Bins that are narrower than this are joined with the one before, as in scikit-learn. */
const NARROWEST = 1e-8;

/** The edges between the bins of a sample: none if it has fewer than two distinct values. */
export function kBinEdges(
  step: Extract<FittedStep, { op: "k_bins" }>,
  sample: SortedSample,
  place: FitPlace,
): number[] {
  if (sample.n === 0 || sample.at(0) === sample.at(sample.n - 1)) return [];
  const min = sample.at(0);
  const max = sample.at(sample.n - 1);
  if (!Number.isFinite(max - min)) throw fitOverflow(place, "its range", "kBins");
  const edges = allEdges(step, sample, min, max).map((edge) => edge + 0);
  const kept =
    step.strategy === "uniform"
      ? edges
      : edges.filter((edge, index) => index === 0 || edge - edges[index - 1]! > NARROWEST);
  return kept.slice(1, -1);
}

function allEdges(
  step: Extract<FittedStep, { op: "k_bins" }>,
  sample: SortedSample,
  min: number,
  max: number,
): number[] {
  switch (step.strategy) {
    case "uniform":
      return evenlySpaced(min, max, step.bins + 1);
    case "quantile":
      return evenlySpaced(0, 100, step.bins + 1).map((percent) => percentile(sample, percent, step.quantile_method));
    case "kmeans": {
      const centers = kMeans(sample, step.bins);
      return [min, ...centers.slice(1).map((center, index) => (center + centers[index]!) * 0.5), max];
    }
  }
}
