import type { FittedStep, NumericStep } from "../../definitions/expression.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { applyStep } from "./apply-step.ts";
import type { FittedTransform } from "./fitted-state.ts";

type Evaluator = (row: readonly Value[]) => Value;
type NumberEvaluator = (row: readonly Value[]) => number | null;

/**
 * Compiles the steps of a numeric transform, in the order written. An int64 becomes the nearest double. A null passes
 * through every step but `fill_null` and `impute`; a step whose result is not finite gives a null.
 */
export function compileNumeric(
  input: Evaluator,
  type: ColumnTypeSpec,
  steps: readonly NumericStep[],
  fitted: (step: number) => FittedTransform,
): NumberEvaluator {
  let evaluate = type.kind === "int64" ? fromInt64(input) : (input as NumberEvaluator);
  steps.forEach((step, index) => {
    evaluate = compileStep(evaluate, step, () => fitted(index));
  });
  return evaluate;
}

function fromInt64(input: Evaluator): NumberEvaluator {
  return (row) => {
    const value = input(row);
    return value === null ? null : Number(value);
  };
}

function compileStep(input: NumberEvaluator, step: NumericStep, fitted: () => FittedTransform): NumberEvaluator {
  switch (step.op) {
    case "fill_null": {
      // Adding 0 makes 0 of −0.
      const fill = step.value + 0;
      return (row) => input(row) ?? fill;
    }
    case "clip": {
      const low = step.low + 0;
      const high = step.high + 0;
      return (row) => {
        const x = input(row);
        if (x === null) return null;
        return Math.min(Math.max(x, low), high);
      };
    }
    case "log1p":
      return (row) => {
        const x = input(row);
        // At −1 the logarithm is −∞, which is a null as well.
        return x === null || x <= -1 ? null : Math.log1p(x);
      };
    case "impute": {
      const fill = (fitted() as Extract<FittedTransform, { kind: "impute" }>).value;
      return (row) => input(row) ?? fill;
    }
    default:
      return applied(input, step, fitted());
  }
}

function applied(input: NumberEvaluator, step: FittedStep, fitted: FittedTransform): NumberEvaluator {
  const apply = applyStep(step, fitted);
  return (row) => {
    const x = input(row);
    if (x === null) return null;
    const y = apply(x) + 0;
    return Number.isFinite(y) ? y : null;
  };
}
