import { millraceError } from "../../definitions/errors.ts";
import type { Expression, NumericStep, RowFunction } from "../../definitions/expression.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { compileHash, compileOneOf } from "./categorical.ts";
import { fromUserOf, type ToUser, toUserOf } from "./derive-value.ts";
import type { FittedOrdinal, FittedStandardize } from "./fitted-state.ts";
import { compileNumeric } from "./numeric.ts";

/** Evaluates one value of a row. */
export type Evaluator = (row: readonly Value[]) => Value;

/** What an expression's compilation depends on. */
export interface ExpressionContext {
  /** The index of a column, request column or feature in the rows. */
  readonly slotOf: (leaf: LeafExpression) => number;
  /** Called each time a derive's function throws or gives a result that is not of its type. */
  readonly onFailure: () => void;
  /** What a fitted transform learned, by its id. */
  readonly standardize: (id: string) => FittedStandardize;
  readonly ordinal: (id: string) => FittedOrdinal;
}

export type LeafExpression = Extract<Expression, { op: "column" | "request" | "feature" }>;

/**
 * Compiles an expression to closures over its rows, so that nothing is looked up by name per row. `path` is where the
 * expression stands within its feature: the ids of its fitted transforms start with it.
 */
export function compileExpression(expression: Expression, path: string, context: ExpressionContext): Evaluator {
  switch (expression.op) {
    case "column":
    case "request":
    case "feature": {
      const slot = context.slotOf(expression);
      return (row) => row[slot]!;
    }
    case "derive":
      return compileDerive(
        Object.entries(expression.inputs).map(([name, input]) => ({
          name,
          type: input.type,
          evaluate: compileExpression(input, inputPath(path, name), context),
        })),
        expression.fn,
        expression.type,
        context.onFailure,
      );
    case "fill": {
      const input = compileExpression(expression.input, inputPath(path), context);
      const { value } = expression;
      return (row) => input(row) ?? value;
    }
    case "numeric":
      return compileNumericSteps(expression.input, expression.steps, path, context);
    case "one_hot":
      // A service's one-hot is compiled with its row, and serviceColumns refuses one within an expression.
      throw millraceError("DEFINITION_INVALID", "A one-hot makes several columns, so it cannot be read as one value.");
    case "ordinal":
      return compileOneOf(
        compileExpression(expression.input, inputPath(path), context),
        expression.categories ?? context.ordinal(stepId(path, 0)).categories,
      );
    case "hash":
      return compileHash(compileExpression(expression.input, inputPath(path), context), expression.buckets);
  }
}

/** The first steps of a numeric transform: all of them, or those before a step that is to be fitted. */
export function compileNumericSteps(
  input: Expression,
  steps: readonly NumericStep[],
  path: string,
  context: ExpressionContext,
): Evaluator {
  return compileNumeric(compileExpression(input, inputPath(path), context), input.type, steps, (index) =>
    context.standardize(stepId(path, index)),
  );
}

/** The path of an expression's input; a derive's inputs have names. */
export function inputPath(path: string, name?: string): string {
  return name === undefined ? `${path}/` : `${path}/${name}`;
}

/** The id of a fitted transform: the path of its expression and the index of the step. */
export function stepId(path: string, step: number): string {
  return `${path}:${step}`;
}

interface DeriveInput {
  readonly name: string;
  readonly type: ColumnTypeSpec;
  readonly evaluate: Evaluator;
}

function compileDerive(
  inputs: readonly DeriveInput[],
  fn: RowFunction,
  type: ColumnTypeSpec,
  onFailure: () => void,
): Evaluator {
  const result = fromUserOf(type);
  const names = inputs.map((input) => input.name);
  const evaluators = inputs.map((input) => userEvaluator(input.evaluate, toUserOf(input.type)));
  return (row) => {
    // A new object per call: whatever the function does to it, no later call can see.
    const object: Record<string, unknown> = {};
    for (let index = 0; index < evaluators.length; index++) object[names[index]!] = evaluators[index]!(row);
    let value: Value | undefined;
    try {
      value = result(fn(object));
    } catch {
      value = undefined;
    }
    if (value !== undefined) return value;
    onFailure();
    return null;
  };
}

function userEvaluator(evaluate: Evaluator, toUser: ToUser | null): (row: readonly Value[]) => unknown {
  return toUser === null ? evaluate : (row) => toUser(evaluate(row));
}
