import { millraceError } from "../../definitions/errors.ts";
import type { Expression, NumericStep, RowFunction } from "../../definitions/expression.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import {
  compileCodes,
  compileFrequency,
  compileHash,
  compileHash32,
  compileOneOf,
  type TargetReader,
  targetReader,
} from "./categorical.ts";
import { fromUserOf, type ToUser, toUserOf } from "./derive-value.ts";
import type {
  FittedFrequency,
  FittedImputeText,
  FittedOrdinal,
  FittedTarget,
  FittedTransform,
} from "./fitted-state.ts";
import { compileNumeric } from "./numeric.ts";

/** Evaluates one value of a row. */
export type Evaluator = (row: readonly Value[]) => Value;

/** What an expression's compilation depends on. */
export interface ExpressionContext {
  /** The index of a column, request column or feature in the rows. */
  readonly slotOf: (leaf: LeafExpression) => number;
  /** Called each time a derive's function throws or gives a result that is not of its type. */
  readonly onFailure: () => void;
  /** The service's feature, for errors. */
  readonly feature: string;
  /** What a fitted transform learned, by its id; of the kind that its rule says. */
  readonly fitted: (id: string) => FittedTransform;
  /** In the training set itself: what the rows of each fold get of a transform, and the position of the row. */
  readonly folds?: (id: string) => readonly FittedTarget[];
  readonly position?: { readonly row: number };
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
    case "impute": {
      const input = compileExpression(expression.input, inputPath(path), context);
      const { value } = context.fitted(stepId(path, 0)) as FittedImputeText;
      return (row) => input(row) ?? value;
    }
    case "ordinal":
      return compileOrdinal(expression, path, context);
    case "frequency": {
      const input = compileExpression(expression.input, inputPath(path), context);
      return compileFrequency(input, context.fitted(stepId(path, 0)) as FittedFrequency, expression);
    }
    case "target": {
      if (expression.classes !== null) throw severalColumns();
      const input = compileExpression(expression.input, inputPath(path), context);
      const read = compileTarget(expression, path, context);
      return (row) => read(input(row), 0);
    }
    case "hash": {
      const input = compileExpression(expression.input, inputPath(path), context);
      return expression.algorithm === "murmur3_32"
        ? compileHash32(input, expression.buckets)
        : compileHash(input, expression.buckets);
    }
    case "one_hot":
    case "index_columns":
    case "hash_columns":
      throw severalColumns();
  }
}

/** A service's columns are compiled with its row, and serviceColumns refuses several of them within an expression. */
function severalColumns(): Error {
  return millraceError(
    "DEFINITION_INVALID",
    "A transform that makes several columns, such as a one-hot, cannot be read as one value.",
  );
}

function compileOrdinal(
  expression: Extract<Expression, { op: "ordinal" }>,
  path: string,
  context: ExpressionContext,
): Evaluator {
  const input = compileExpression(expression.input, inputPath(path), context);
  const { categories, encoding } = expression;
  const learned = isFittedOrdinal(expression)
    ? (context.fitted(stepId(path, 0)) as FittedOrdinal)
    : { categories: categories! };
  if (encoding === undefined) return compileOneOf(input, learned.categories);
  if (learned.categories !== categories || encoding.nulls !== "category") {
    return compileCodes(input, learned, encoding, context.feature);
  }
  return compileCodes(input, { categories: [...categories, null] }, encoding, context.feature);
}

/** A declared list is fitted only where rare categories share a code. */
export function isFittedOrdinal({ categories, encoding }: Extract<Expression, { op: "ordinal" }>): boolean {
  return (
    categories === null ||
    (encoding !== undefined && (encoding.min_frequency !== null || encoding.max_categories !== null))
  );
}

/** Reads a category's encoding: in the training set the one of the row's fold. */
export function compileTarget(
  expression: Extract<Expression, { op: "target" }>,
  path: string,
  context: ExpressionContext,
): TargetReader {
  const id = stepId(path, 0);
  const { folds, position } = context;
  if (folds === undefined || position === undefined) {
    return targetReader(context.fitted(id) as FittedTarget, expression.nulls);
  }
  const readers = folds(id).map((fold) => targetReader(fold, expression.nulls));
  return (value, column) => readers[position.row % readers.length]!(value, column);
}

/** The first steps of a numeric transform: all of them, or those before a step that is to be fitted. */
export function compileNumericSteps(
  input: Expression,
  steps: readonly NumericStep[],
  path: string,
  context: ExpressionContext,
): Evaluator {
  return compileNumeric(compileExpression(input, inputPath(path), context), input.type, steps, (index) =>
    context.fitted(stepId(path, index)),
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
