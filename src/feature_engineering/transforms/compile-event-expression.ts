import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { Expression } from "../../definitions/expression.ts";
import type { Value } from "../../definitions/value.ts";
import { compileExpression, type Evaluator, type ExpressionContext } from "./compile-expression.ts";

/**
 * Compiles a column of a source, or a derive over its columns, to a function of the source's row. `columnIndex` is the
 * index of each column in the rows. `onFailure` is called for each row on which a function throws or gives a result
 * that is not of its type: the value is then null.
 */
export function compileEventExpression(
  expression: Expression,
  columnIndex: ReadonlyMap<string, number>,
  onFailure: () => void,
): Evaluator {
  return compileExpression(expression, "", eventContext(columnIndex, onFailure));
}

/**
 * Compiles a `where`: true only for true. A null is false; a throw, or a result that is neither a boolean nor null, is
 * false and calls `onFailure`.
 */
export function compilePredicate(
  expression: Expression,
  columnIndex: ReadonlyMap<string, number>,
  onFailure: () => void,
): (row: readonly Value[]) => boolean {
  const nullable: Expression =
    expression.op === "derive" ? { ...expression, type: { ...expression.type, nullable: true } } : expression;
  const evaluate = compileEventExpression(nullable, columnIndex, onFailure);
  return (row) => evaluate(row) === true;
}

function eventContext(columnIndex: ReadonlyMap<string, number>, onFailure: () => void): ExpressionContext {
  return {
    slotOf: (leaf) => {
      if (leaf.op !== "column") throw notOfEvents(`a ${leaf.op}`);
      const index = columnIndex.get(leaf.column);
      if (index === undefined) throw notOfEvents(`column '${leaf.column}', which the rows lack`);
      return index;
    },
    onFailure,
    feature: "",
    fitted: (id) => {
      throw notOfEvents(`the fitted transform '${id}'`);
    },
  };
}

function notOfEvents(what: string): MillraceError {
  return millraceError(
    "DEFINITION_INVALID",
    `An expression over a source's events reads ${what}: it can read only the columns of its source. Move the transform to a feature service.`,
  );
}
