import { millraceError } from "../../definitions/errors.ts";
import type { Value } from "../../definitions/value.ts";
import { type Moments, meanOfMoments, moments2, varianceOfMoments } from "../aggregations/moments.ts";
import type { CompiledRow } from "./compile-row.ts";
import type { FitSpec, FittedState, FittedTransform } from "./fitted-state.ts";

/** Learns a service's fitted transforms from training inputs. */
export interface Fitter {
  /** How often all inputs must be added: once per level of a chain such as `standardize().clip(…).standardize()`. */
  readonly passes: number;
  /** Adds the inputs of one row, in the form that `CompiledRow.bind` takes. */
  add(inputs: readonly Value[]): void;
  /** Ends a pass; true if all inputs must be added once more. */
  endPass(): boolean;
  /**
   * What was learned, once every pass has ended. It does not depend on the order of the rows.
   *
   * @throws `FIT_INCOMPLETE` before that.
   */
  finish(): FittedState;
}

/** A fitter of a compiled service. Where `passes` is 0 nothing needs to be added. */
export function createFitter(compiled: CompiledRow): Fitter {
  const fitted = new Map<string, FittedTransform>();
  let pass = 1;
  let learners = learnersOf(compiled, pass, fitted);
  return {
    passes: compiled.passes,
    add(inputs) {
      for (const learner of learners) learner.add(inputs);
    },
    endPass() {
      for (const learner of learners) fitted.set(learner.fit.id, learner.finish());
      pass++;
      learners = learnersOf(compiled, pass, fitted);
      return pass <= compiled.passes;
    },
    finish() {
      if (pass <= compiled.passes) {
        throw millraceError(
          "FIT_INCOMPLETE",
          `Service '${compiled.service.name}' is fitted in ${compiled.passes} passes over the training rows, of which ${pass - 1} ended: add all rows and call endPass() until it returns false.`,
          { kind: "bug" },
        );
      }
      return {
        service: compiled.service.name,
        service_hash: compiled.hash,
        transforms: Object.fromEntries(fitted),
      };
    },
  };
}

/**
 * Fits a service on training inputs. `rows` is called once per pass and must give the same inputs each time, in any
 * order; it is not called if nothing is to be fitted.
 */
export async function fitRow(
  compiled: CompiledRow,
  rows: () => Iterable<readonly Value[]> | AsyncIterable<readonly Value[]>,
): Promise<FittedState> {
  const fitter = createFitter(compiled);
  for (let pass = 0; pass < fitter.passes; pass++) {
    for await (const inputs of rows()) fitter.add(inputs);
    fitter.endPass();
  }
  return fitter.finish();
}

interface Learner {
  readonly fit: FitSpec;
  add(inputs: readonly Value[]): void;
  finish(): FittedTransform;
}

function learnersOf(
  compiled: CompiledRow,
  pass: number,
  fitted: ReadonlyMap<string, FittedTransform>,
): readonly Learner[] {
  return compiled.bindFits(pass, fitted).map(({ fit, evaluate }): Learner => {
    if (fit.kind === "standardize") {
      const moments = moments2.create();
      return {
        fit,
        add: (inputs) => {
          const value = evaluate(inputs);
          if (value !== null) moments2.add(moments, value);
        },
        finish: () => standardizeOf(compiled, fit, moments),
      };
    }
    const categories = new Set<string>();
    return {
      fit,
      add: (inputs) => {
        const value = evaluate(inputs);
        if (value !== null) categories.add(value as string);
      },
      // The default order of sort() is by UTF-16 code units.
      finish: () => ({ kind: "ordinal", categories: [...categories].sort() }),
    };
  });
}

/** Without any value the transform changes nothing: mean 0, stddev 1. */
function standardizeOf(compiled: CompiledRow, fit: FitSpec, moments: Moments): FittedTransform {
  if (moments.n === 0) return { kind: "standardize", mean: 0, stddev: 1 };
  const mean = meanOfMoments(moments);
  const variance = moments.n === 1 ? 0 : varianceOfMoments(moments);
  if (mean === null || variance === null) {
    throw millraceError(
      "FIT_OVERFLOW",
      `Feature '${fit.feature}' of service '${compiled.service.name}' cannot be standardized: its mean or variance over the training set overflows a double. Add a log1p() or a clip(low, high) before standardize().`,
      { details: { service: compiled.service.name, feature: fit.feature } },
    );
  }
  // The sample's variance (n − 1) to the population's (n).
  const stddev = Math.sqrt(variance * ((moments.n - 1) / moments.n));
  return { kind: "standardize", mean: mean + 0, stddev: stddev > 0 ? stddev : 1 };
}
