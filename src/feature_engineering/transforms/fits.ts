import type { CategoryEncoding, Expression } from "../../definitions/expression.ts";
import { inputsOf } from "../plan/service-columns.ts";
import {
  compileExpression,
  compileNumericSteps,
  type Evaluator,
  type ExpressionContext,
  inputPath,
  isFittedOrdinal,
  stepId,
} from "./compile-expression.ts";
import type { FitRule, FitSpec } from "./fitted-state.ts";

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
  const rule = ruleOf(expression);
  if (rule !== null && "input" in expression) {
    fits.push({
      id: stepId(path, 0),
      feature,
      kind: rule.kind,
      rule,
      pass,
      compileInput: (context) => compileExpression(expression.input, inputPath(path), context),
    });
  }
  if (expression.op === "numeric") {
    expression.steps.forEach((step, index) => {
      if (step.op === "fill_null" || step.op === "clip" || step.op === "log1p") return;
      fits.push({
        id: stepId(path, index),
        feature,
        kind: step.op,
        rule: { kind: "step", step },
        pass: pass++,
        compileInput: (context) =>
          compileNumericSteps(expression.input, expression.steps.slice(0, index), path, context),
      });
    });
  }
  return fits;
}

const PLAIN: CategoryEncoding = { min_frequency: null, max_categories: null, unknown: -1, nulls: null };

/** What an encoding of a text is to learn; null if nothing. */
function ruleOf(expression: Expression): Exclude<FitRule, { kind: "step" }> | null {
  switch (expression.op) {
    case "ordinal": {
      const { categories, encoding = PLAIN } = expression;
      return isFittedOrdinal(expression) ? { kind: "ordinal", categories, encoding } : null;
    }
    case "impute":
      return { kind: "impute_text", values: expression.input.type.values ?? null };
    case "frequency":
      return { kind: "frequency", relative: expression.relative, nulls: expression.nulls };
    case "target": {
      const { label, classes, smooth, folds, nulls } = expression;
      return { kind: "target", label, classes, smooth, folds, nulls };
    }
    default:
      return null;
  }
}
