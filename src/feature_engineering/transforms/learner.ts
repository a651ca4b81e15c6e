import type { Value } from "../../definitions/value.ts";
import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { malformedBytes } from "../encoding/encoding-errors.ts";
import { createCategoryLearner, createFrequencyLearner, createTextImputer } from "./category-learners.ts";
import type { FitPlace } from "./fit-error.ts";
import type { FitSpec, FittedTarget, FittedTransform } from "./fitted-state.ts";
import { createStepLearner } from "./step-learners.ts";
import { createTargetLearner } from "./target-learner.ts";

/**
 * Learns one transform from the rows of a training set. What it learns depends on the set of rows alone: not on their
 * order, nor on how they were shared out among learners that were merged.
 */
export interface Learner {
  /** Adds a row: what reaches the transform, its label (null if the transform has none), and its position from 0. */
  add(value: Value, label: Value, row: number): void;
  /** Writes what was learned so far. Equal sets of rows have equal bytes. */
  encode(out: ByteWriter): void;
  /** Adds what another learner of the same transform wrote. @throws `MALFORMED_BYTES`, `FIT_TOO_LARGE` */
  merge(input: ByteReader): void;
  /** What was learned. */
  finish(): FittedTransform;
  /** What the rows of each fold get in the training set, where that is not what `finish` gives. */
  finishFolds?(): readonly FittedTarget[];
}

/** The form of a learner's bytes. */
const FORMAT = 1;

export function createLearner(fit: Pick<FitSpec, "rule">, place: FitPlace): Learner {
  const learner = ofRule(fit, place);
  return {
    ...learner,
    encode(out) {
      out.u8(FORMAT);
      learner.encode(out);
    },
    merge(input) {
      const format = input.u8();
      if (format !== FORMAT) throw malformedBytes(`${format} is no form of a learner`, input.position - 1);
      learner.merge(input);
    },
  };
}

function ofRule({ rule }: Pick<FitSpec, "rule">, place: FitPlace): Learner {
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
