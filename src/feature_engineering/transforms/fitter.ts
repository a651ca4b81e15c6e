import { millraceError } from "../../definitions/errors.ts";
import type { Value } from "../../definitions/value.ts";
import type { CompiledRow, FitInput, Learned } from "./compile-row.ts";
import type { FittedState, FittedTarget, FittedTransform } from "./fitted-state.ts";
import { createLearner, type Learner } from "./learner.ts";

/** Makes a row of the training set that was fitted on, of its inputs and its position, from 0, in the order added. */
export type TrainingRowTransform = (inputs: readonly Value[], row: number) => Value[];

/** Learns a service's fitted transforms from training inputs. */
export interface Fitter {
  /** How often all inputs must be added: once per level of a chain such as `standardize().clip(…).standardize()`. */
  readonly passes: number;
  /**
   * Adds the inputs of one row, in the form that `CompiledRow.bind` takes, and its labels, in the order of
   * `CompiledRow.labels`. Every pass adds the rows in the same order if there are labels.
   */
  add(inputs: readonly Value[], labels?: readonly Value[]): void;
  /** Ends a pass; true if all inputs must be added once more. */
  endPass(): boolean;
  /**
   * What was learned, once every pass has ended. It does not depend on the order of the rows, but for what is learned
   * from a `target` encoding, which depends on the rows' folds.
   *
   * @throws `FIT_INCOMPLETE` before that.
   */
  finish(): FittedState;
  /**
   * What makes the rows of this very training set. It differs from `CompiledRow.bind` of the fitted state only in
   * `target` encodings: a row gets what the rows of the other folds say, so that no row knows its own label.
   *
   * @throws `FIT_INCOMPLETE` before every pass has ended.
   */
  trainingRows(): TrainingRowTransform;
}

/** A fitter of a compiled service. Where `passes` is 0 nothing needs to be added. */
export function createFitter(compiled: CompiledRow): Fitter {
  const transforms = new Map<string, FittedTransform>();
  const folds = new Map<string, readonly FittedTarget[]>();
  const position = { row: 0 };
  const learned: Learned = { transforms, folds, position };
  let pass = 1;
  let learners = learnersOf(compiled, pass, learned);

  const complete = (): void => {
    if (pass > compiled.passes) return;
    throw millraceError(
      "FIT_INCOMPLETE",
      `Service '${compiled.service.name}' is fitted in ${compiled.passes} passes over the training rows, of which ${pass - 1} ended: add all rows and call endPass() until it returns false.`,
      { kind: "bug" },
    );
  };
  return {
    passes: compiled.passes,
    add(inputs, labels) {
      for (const { input, label, learner } of learners) {
        learner.add(input.evaluate(inputs), label === -1 ? null : (labels?.[label] ?? null), position.row);
      }
      position.row++;
    },
    endPass() {
      for (const { input, learner } of learners) {
        transforms.set(input.fit.id, learner.finish());
        if (learner.finishFolds !== undefined) folds.set(input.fit.id, learner.finishFolds());
      }
      pass++;
      position.row = 0;
      learners = learnersOf(compiled, pass, learned);
      return pass <= compiled.passes;
    },
    finish() {
      complete();
      return {
        service: compiled.service.name,
        service_hash: compiled.hash,
        transforms: Object.fromEntries(transforms),
      };
    },
    trainingRows() {
      complete();
      const at = { row: 0 };
      const make = compiled.bindTraining({ transforms, folds, position: at });
      return (inputs, row) => {
        at.row = row;
        return make(inputs);
      };
    },
  };
}

/** A training row's inputs and labels. */
export interface TrainingRow {
  readonly inputs: readonly Value[];
  readonly labels: readonly Value[];
}

/**
 * Fits a service on training rows. `rows` is called once per pass and must give the same rows each time, in the same
 * order; it is not called if nothing is to be fitted.
 */
export async function fitRows(
  compiled: CompiledRow,
  rows: () => Iterable<TrainingRow> | AsyncIterable<TrainingRow>,
): Promise<Fitter> {
  const fitter = createFitter(compiled);
  for (let pass = 0; pass < fitter.passes; pass++) {
    for await (const { inputs, labels } of rows()) fitter.add(inputs, labels);
    fitter.endPass();
  }
  return fitter;
}

interface PlacedLearner {
  readonly input: FitInput;
  /** The index in the labels; −1 if it reads none. */
  readonly label: number;
  readonly learner: Learner;
}

function learnersOf(compiled: CompiledRow, pass: number, learned: Learned): readonly PlacedLearner[] {
  return compiled.bindFits(pass, learned).map((input): PlacedLearner => {
    const { rule, feature } = input.fit;
    return {
      input,
      label: rule.kind === "target" ? compiled.labels.findIndex(({ name }) => name === rule.label.name) : -1,
      learner: createLearner(input.fit, { service: compiled.service.name, feature }),
    };
  });
}
