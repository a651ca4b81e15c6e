import type { FittedStep } from "../../definitions/expression.ts";
import type { Value } from "../../definitions/value.ts";
import { type Moments, type MomentsState, meanOfMoments, moments1, moments2 } from "../aggregations/moments.ts";
import { type FitPlace, fitOverflow } from "./fit-error.ts";
import type { FittedTransform } from "./fitted-state.ts";
import { kBinEdges } from "./k-bin-edges.ts";
import type { Learner } from "./learner.ts";
import { normalQuantile } from "./normal-quantile.ts";
import { evenlySpaced, median, percentile } from "./percentile.ts";
import { powerLambda, powerOf } from "./power-lambda.ts";
import { createSample, type SortedSample } from "./sample.ts";
import { scaleOf, spreadOf, spreadOfValues } from "./spread.ts";

/** A learner of a numeric step. Nulls teach nothing, but count as rows where scikit-learn counts them. */
export function createStepLearner(step: FittedStep, place: FitPlace): Learner {
  switch (step.op) {
    case "standardize":
      return ofMoments((moments) => {
        const { mean, stddev } = spreadOf(moments, place, "standardize");
        return { kind: "standardize", mean, stddev };
      });
    case "impute":
      return step.strategy === "mean" ? meanLearner(place) : ofSample((sample) => imputeOf(step.strategy, sample));
    case "min_max":
      return ofExtremes((min, max) => {
        if (min > max) return { kind: "min_max", min: 0, max: 1 };
        if (!Number.isFinite(max - min)) throw fitOverflow(place, "its range", "minMax");
        return { kind: "min_max", min, max };
      });
    case "max_abs":
      return ofExtremes((min, max) => ({
        kind: "max_abs",
        max_abs: min > max ? 1 : Math.max(Math.abs(min), Math.abs(max)),
      }));
    case "robust":
      return ofSample((sample) => robustOf(step, sample, place));
    case "quantile":
      return ofSample((sample, rows) => {
        if (sample.n === 0) return { kind: "quantile", quantiles: [] };
        const ranks = evenlySpaced(0, 1, Math.min(step.quantiles, rows));
        return { kind: "quantile", quantiles: ranks.map((rank) => percentile(sample, rank * 100, "linear")) };
      });
    case "power":
      return ofSample((sample) => powerFit(step, sample, place), step.method === "box_cox" ? (x) => x > 0 : () => true);
    case "k_bins":
      return ofSample((sample) => ({ kind: "k_bins", edges: kBinEdges(step, sample, place) }));
  }
}

function ofMoments(finish: (moments: Moments) => FittedTransform, state: MomentsState<Moments> = moments2): Learner {
  const moments = state.create();
  return {
    add: (value) => {
      if (value !== null) state.add(moments, value);
    },
    encode: (out) => state.encode(moments, out),
    merge: (input) => void state.merge(moments, state.decode(input)),
    finish: () => finish(moments),
  };
}

function meanLearner(place: FitPlace): Learner {
  return ofMoments((moments) => {
    const mean = moments.n === 0 ? 0 : meanOfMoments(moments);
    if (mean === null) throw fitOverflow(place, "its sum", "impute");
    return { kind: "impute", value: mean + 0 };
  }, moments1);
}

/** Without any value the minimum is above the maximum. */
function ofExtremes(finish: (min: number, max: number) => FittedTransform): Learner {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  return {
    add: (value) => {
      if (value === null) return;
      min = Math.min(min, value as number);
      max = Math.max(max, value as number);
    },
    encode: (out) => {
      out.f64(min);
      out.f64(max);
    },
    merge: (input) => {
      min = Math.min(min, input.f64());
      max = Math.max(max, input.f64());
    },
    finish: () => finish(min, max),
  };
}

function ofSample(
  finish: (sample: SortedSample, rows: number) => FittedTransform,
  counts: (x: number) => boolean = () => true,
): Learner {
  const sample = createSample();
  let rows = 0;
  return {
    add: (value: Value) => {
      rows++;
      if (value !== null && counts(value as number)) sample.add(value as number);
    },
    encode: (out) => {
      out.varint(rows);
      sample.encode(out);
    },
    merge: (input) => {
      rows += input.varint();
      sample.merge(input);
    },
    finish: () => finish(sample.sorted(), rows),
  };
}

function imputeOf(strategy: "median" | "most_frequent" | "mean", sample: SortedSample): FittedTransform {
  if (sample.n === 0) return { kind: "impute", value: 0 };
  return { kind: "impute", value: strategy === "median" ? median(sample) + 0 : mostFrequent(sample) };
}

/** Of several the least. */
function mostFrequent({ values, counts }: SortedSample): number {
  let best = values[0]!;
  let most = 0;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    count = (i > 0 && values[i] === values[i - 1] ? count : 0) + (counts === null ? 1 : counts[i]!);
    if (count > most) {
      most = count;
      best = values[i]!;
    }
  }
  return best;
}

function robustOf(step: Extract<FittedStep, { op: "robust" }>, sample: SortedSample, place: FitPlace): FittedTransform {
  if (sample.n === 0) return { kind: "robust", center: 0, scale: 1 };
  const center = step.center ? median(sample) + 0 : 0;
  if (!step.scale) return { kind: "robust", center, scale: 1 };
  const distance = percentile(sample, step.high, "linear") - percentile(sample, step.low, "linear");
  if (!Number.isFinite(distance)) throw fitOverflow(place, "the distance of its percentiles", "robust");
  const unit = step.unit_variance ? normalQuantile(step.high / 100) - normalQuantile(step.low / 100) : 1;
  return { kind: "robust", center, scale: scaleOf(distance) / unit };
}

function powerFit(step: Extract<FittedStep, { op: "power" }>, sample: SortedSample, place: FitPlace): FittedTransform {
  const spread = spreadOfValues(sample.values, sample.counts, place, "power");
  const lambda = spread === null || spread.constant ? 1 : powerLambda(step.method, sample);
  if (!step.standardize) return { kind: "power", lambda, mean: 0, stddev: 1 };
  const transformed = sample.values.map((x) => powerOf(step.method, lambda, x));
  const after = spreadOfValues(transformed, sample.counts, place, "power");
  if (after === null) throw fitOverflow(place, "its power", "power");
  return { kind: "power", lambda, mean: after.mean, stddev: after.stddev };
}
