import type { RowFunction } from "../../definitions/expression.ts";

/** The normalised source of a function. */
export interface FunctionSource {
  readonly source: string;
}

/** Thin version: the text as it is. */
export function functionSource(fn: RowFunction, _where: string): FunctionSource {
  return { source: String(fn) };
}
