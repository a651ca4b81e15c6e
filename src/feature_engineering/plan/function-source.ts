import type { RowFunction } from "../../definitions/expression.ts";
import { checkPurity } from "./check-purity.ts";
import { parseFunction } from "./parse-function.ts";
import { printFunction } from "./print-function.ts";
import { resolveNames } from "./resolve-names.ts";
import { simplifyFunction } from "./simplify-function.ts";

/** A pure function's source. */
export interface FunctionSource {
  /**
   * The canonical text, an arrow function: the same whatever tool took the types off, bundled it or renamed its
   * variables. It is what is hashed and displayed; it is never executed.
   */
  readonly source: string;
}

const sources = new WeakMap<RowFunction, FunctionSource>();

/**
 * Reads a function's source, checks that it is pure, and normalises it.
 *
 * Alike are: types, comments, white space, quotes, semicolons and parentheses; names of parameters and variables;
 * `const`, `let` and (at the top) `var`; arrows, function expressions and methods; expression bodies and single
 * returns; single statements and blocks; `if … return` and `? :`; `if (a) b()` and `a && b()`; negated tests; constants
 * on either side of `===`; `void 0`, `!0`, `1 / 0`; arithmetic of numbers written out; `a["b"]` and `a.b`. Not alike
 * are rewritings that move or inline variables, turn `continue` or `return` inside of loops and blocks into conditions,
 * apply De Morgan's laws or shorten `a === true`, or lower newer syntax (`?.`, `??`, patterns) for old engines: these
 * give another hash, so apply declarations from the same build that runs them, or do not minify them.
 *
 * @param where names the view or service and the feature in errors.
 * @throws `FUNCTION_UNREADABLE` for native and bound functions, `FUNCTION_NOT_PURE` for functions that depend on more
 * than their input.
 */
export function functionSource(fn: RowFunction, where: string): FunctionSource {
  const known = sources.get(fn);
  if (known !== undefined) return known;
  const parsed = parseFunction(fn, where);
  const names = resolveNames(parsed.node);
  checkPurity(parsed, names, where);
  const source: FunctionSource = { source: printFunction(simplifyFunction(parsed.node, names), names) };
  sources.set(fn, source);
  return source;
}
