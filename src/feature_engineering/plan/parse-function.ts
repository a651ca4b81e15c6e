import { type AnyNode, type ArrowFunctionExpression, type FunctionExpression, parse } from "acorn";
import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { RowFunction } from "../../definitions/expression.ts";
import { mapChildren } from "./child-nodes.ts";

/** A function of whatever syntax: arrow, function expression, or the value of a method. */
export type FunctionNode = ArrowFunctionExpression | FunctionExpression;

export interface ParsedFunction {
  readonly text: string;
  readonly node: FunctionNode;
}

const OPTIONS = { ecmaVersion: "latest", sourceType: "module", locations: true } as const;

/**
 * Parses the text of a function (`toString`).
 *
 * @throws `FUNCTION_UNREADABLE` for native and bound functions, classes and accessors, whose text is not a function's.
 */
export function parseFunction(fn: RowFunction, where: string): ParsedFunction {
  const text = String(fn);
  // The end of line ends a comment that the text may end with.
  const node = parseExpression(`(${text}\n)`) ?? parseMethod(`({${text}\n})`);
  if (node === null) throw unreadable(text, where);
  return { text, node: withoutKeptNames(node) as FunctionNode };
}

/** esbuild's `keepNames` (also of tsx) writes `__name(f, "f")` for f, which only sets its `name`. */
function withoutKeptNames(node: AnyNode): AnyNode {
  if (node.type === "CallExpression" && node.callee.type === "Identifier" && node.callee.name === "__name") {
    const [fn, name] = node.arguments;
    if (fn !== undefined && name?.type === "Literal") return withoutKeptNames(fn);
  }
  return mapChildren(node, withoutKeptNames);
}

function parseExpression(code: string): FunctionNode | null {
  const expression = expressionOf(code);
  return expression?.type === "ArrowFunctionExpression" || expression?.type === "FunctionExpression"
    ? expression
    : null;
}

/** A method's text is that of a method in an object. */
function parseMethod(code: string): FunctionNode | null {
  const object = expressionOf(code);
  if (object?.type !== "ObjectExpression" || object.properties.length !== 1) return null;
  const property = object.properties[0]!;
  const isMethod = property.type === "Property" && property.kind === "init" && property.method;
  return isMethod && property.value.type === "FunctionExpression" ? property.value : null;
}

function expressionOf(code: string): AnyNode | null {
  try {
    const statement = parse(code, OPTIONS).body[0];
    return statement?.type === "ExpressionStatement" ? statement.expression : null;
  } catch {
    return null;
  }
}

function unreadable(text: string, where: string): MillraceError {
  const native = /\{\s*\[native code\]\s*\}\s*$/.test(text);
  return millraceError(
    "FUNCTION_UNREADABLE",
    `The function of ${where} cannot be read: ${native ? "it is a native or bound function, which has no source" : "its text is not that of a function"}. Write it in place, as an arrow function.`,
    { details: { where } },
  );
}
