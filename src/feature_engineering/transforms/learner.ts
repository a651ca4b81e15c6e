import type { Value } from "../../definitions/value.ts";
import { createCategoryLearner, createFrequencyLearner, createTextImputer } from "./category-learners.ts";
import type { FitPlace } from "./fit-error.ts";
import type { FitSpec, FittedTarget, FittedTransform } from "./fitted-state.ts";
import { createStepLearner } from "./step-learners.ts";
import { createTargetLearner } from "./target-learner.ts";

/** Learns one transform from the rows of a training set. */
export interface Learner {
  /** Adds a row: what reaches the transform, its label (null if the transform has none), and its position from 0. */
  add(value: Value, label: Value, row: number): void;
  /** What was learned; it depends on the set of rows alone. */
  finish(): FittedTransform;
  /** What the rows of each fold get in the training set, where that is not what `finish` gives. */
  finishFolds?(): readonly FittedTarget[];
}

export function createLearner({ rule }: FitSpec, place: FitPlace): Learner {
  switch (rule.kind) {
    case "step":
      return createStepLearner(rule.step, place);
    case "ordinal":
      return createCategoryLearner(rule.categories, rule.encoding, place);
    case "impute_text":
      return createTextImputer(rule.values?.[0] ?? "", place);
    case "frequency":
      return createFrequencyLearner(rule.nulls === "category", place);
    case "target":
      return createTargetLearner(rule, place);
  }
}
