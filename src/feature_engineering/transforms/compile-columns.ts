import type { Expression } from "../../definitions/expression.ts";
import type { Value } from "../../definitions/value.ts";
import { categoryIndex, hasher32, unknownCategory } from "./categorical.ts";
import { compileExpression, compileTarget, type ExpressionContext, inputPath } from "./compile-expression.ts";

/** Writes a feature's columns into a row from `at` on, and returns the index after them. */
export type FeatureWriter = (inputs: readonly Value[], row: Value[], at: number) => number;

/** Compiles a feature of a service: one column, or several of a transform that makes them. */
export function compileColumns(expression: Expression, path: string, context: ExpressionContext): FeatureWriter {
  switch (expression.op) {
    case "one_hot":
      return compileOneHot(expression, path, context);
    case "index_columns": {
      const input = compileExpression(expression.input, inputPath(path), context);
      return (inputs, row, at) => writeHot(row, at, expression.size, input(inputs), 1);
    }
    case "hash_columns": {
      const input = compileExpression(expression.input, inputPath(path), context);
      const hash = hasher32();
      const { buckets, signed } = expression;
      return (inputs, row, at) => {
        const value = input(inputs);
        if (value === null) return writeHot(row, at, buckets, null, 0);
        const h = hash(value as string);
        return writeHot(row, at, buckets, Math.abs(h) % buckets, signed && h < 0 ? -1 : 1);
      };
    }
    case "target":
      if (expression.classes !== null) return compileClasses(expression, path, context);
      break;
  }
  const evaluate = compileExpression(expression, path, context);
  return (inputs, row, at) => {
    row[at] = evaluate(inputs);
    return at + 1;
  };
}

function writeHot(row: Value[], at: number, count: number, hot: Value, one: number): number {
  for (let index = 0; index < count; index++) row[at + index] = index === hot ? one : 0;
  return at + count;
}

function compileOneHot(
  expression: Extract<Expression, { op: "one_hot" }>,
  path: string,
  context: ExpressionContext,
): FeatureWriter {
  const input = compileExpression(expression.input, inputPath(path), context);
  const categories = expression.nulls === "category" ? [...expression.categories, null] : expression.categories;
  const index = categoryIndex(categories);
  const refuses = expression.unknown === "error";
  return (inputs, row, at) => {
    const value = input(inputs);
    const hot = index.get(value) ?? -1;
    if (refuses && hot === -1 && value !== null) throw unknownCategory(context.feature, value);
    return writeHot(row, at, categories.length, hot, 1);
  };
}

function compileClasses(
  expression: Extract<Expression, { op: "target" }>,
  path: string,
  context: ExpressionContext,
): FeatureWriter {
  const input = compileExpression(expression.input, inputPath(path), context);
  const read = compileTarget(expression, path, context);
  const count = expression.classes!.length;
  return (inputs, row, at) => {
    const value = input(inputs);
    for (let column = 0; column < count; column++) row[at + column] = read(value, column);
    return at + count;
  };
}
