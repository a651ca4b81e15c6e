import type { Expression } from "../../definitions/expression.ts";
import { inputsOf } from "../plan/service-columns.ts";
import {
  compileExpression,
  compileNumericSteps,
  type Evaluator,
  type ExpressionContext,
  inputPath,
  stepId,
} from "./compile-expression.ts";
import type { FitSpec } from "./fitted-state.ts";

/** A transform that is to be fitted, with how to compute what it is fitted on. */
export interface PlacedFit extends FitSpec {
  /** Compiles the value that reaches the transform; what earlier passes fitted must be in the context. */
  compileInput(context: ExpressionContext): Evaluator;
}

/** The transforms within a service's feature that are to be fitted, those that others read first. */
export function fitsOf(feature: string, expression: Expression): readonly PlacedFit[] {
  return gather(feature, expression, feature);
}

function gather(feature: string, expression: Expression, path: string): PlacedFit[] {
  const below =
    expression.op === "derive"
      ? Object.entries(expression.inputs).flatMap(([name, input]) => gather(feature, input, inputPath(path, name)))
      : inputsOf(expression).flatMap((input) => gather(feature, input, inputPath(path)));
  let pass = 1 + Math.max(0, ...below.map((fit) => fit.pass));
  const fits = [...below];
  if (expression.op === "ordinal" && expression.categories === null) {
    fits.push({
      id: stepId(path, 0),
      feature,
      kind: "ordinal",
      pass,
      compileInput: (context) => compileExpression(expression.input, inputPath(path), context),
    });
  }
  if (expression.op === "numeric") {
    expression.steps.forEach((step, index) => {
      if (step.op !== "standardize") return;
      fits.push({
        id: stepId(path, index),
        feature,
        kind: "standardize",
        pass: pass++,
        compileInput: (context) =>
          compileNumericSteps(expression.input, expression.steps.slice(0, index), path, context),
      });
    });
  }
  return fits;
}
