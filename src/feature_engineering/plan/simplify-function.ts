import type { AnyNode, BlockStatement, ConditionalExpression, Expression, IfStatement, Statement } from "acorn";
import { mapChildren } from "./child-nodes.ts";
import type { FunctionNode } from "./parse-function.ts";
import type { Names } from "./resolve-names.ts";
import { inverseOf, simplifyConditional, simplifyExpression } from "./simplify-expression.ts";

const at = { start: 0, end: 0 };

/**
 * One form for functions that differ only in how they are written: expression bodies and single returns, `const` and
 * `let`, blocks and single statements, `if` and `? :` around returns and calls, and what `simplifyExpression` unites.
 */
export function simplifyFunction(node: FunctionNode, names: Names): FunctionNode {
  return simplify(node, names) as FunctionNode;
}

function simplify(node: AnyNode, names: Names): AnyNode {
  // Names are resolved by the identifiers themselves, so they stay the same objects.
  if (node.type === "Identifier") return simplifyExpression(node, names);
  if (node.type === "TaggedTemplateExpression") {
    const quasi = mapChildren(node.quasi, (child) => simplify(child, names));
    return { ...node, tag: simplify(node.tag, names) as Expression, quasi };
  }
  const copy = mapChildren(node, (child) => simplify(child, names));
  switch (copy.type) {
    case "ArrowFunctionExpression":
    case "FunctionExpression":
    case "FunctionDeclaration":
      return simplifyBody(copy);
    case "BlockStatement":
      return { ...copy, body: simplifyStatements(copy.body, false) };
    case "SwitchCase":
      return { ...copy, consequent: simplifyStatements(copy.consequent, false) };
    case "VariableDeclaration":
      return copy.kind === "const" ? { ...copy, kind: "let" } : copy;
    case "IfStatement":
      return copy.alternate
        ? { ...copy, consequent: block(copy.consequent), alternate: block(copy.alternate) }
        : { ...copy, consequent: block(copy.consequent) };
    case "ForStatement":
    case "ForInStatement":
    case "ForOfStatement":
    case "WhileStatement":
    case "DoWhileStatement":
      return { ...copy, body: block(copy.body) };
    default:
      return simplifyExpression(copy, names);
  }
}

function block(statement: Statement): BlockStatement {
  if (statement.type === "BlockStatement") return statement;
  return { ...at, type: "BlockStatement", body: simplifyStatements([statement], false) };
}

function simplifyBody<Node extends FunctionNode | Extract<AnyNode, { type: "FunctionDeclaration" }>>(node: Node): Node {
  const statements =
    node.body.type === "BlockStatement"
      ? simplifyStatements(node.body.body, true)
      : [{ ...at, type: "ReturnStatement", argument: node.body } as const];
  return { ...node, body: { ...at, type: "BlockStatement", body: statements } };
}

function simplifyStatements(statements: readonly Statement[], ofFunction: boolean): Statement[] {
  const flat = statements.flatMap((statement) => flatten(statement, ofFunction));
  return joinReturns(flat.flatMap(splitElse));
}

/** A statement as the plain statements that it consists of. */
function flatten(statement: Statement, ofFunction: boolean): Statement[] {
  switch (statement.type) {
    case "EmptyStatement":
      return [];
    case "VariableDeclaration":
      return statement.declarations.map((declarator) => ({
        ...statement,
        // At the top of a function `var` declares what `let` does.
        kind: statement.kind === "var" && !ofFunction ? "var" : "let",
        declarations: [
          statement.kind !== "var" && isUndefined(declarator.init) ? { ...declarator, init: null } : declarator,
        ],
      }));
    case "ExpressionStatement": {
      if (statement.directive !== undefined) return [];
      const { expression } = statement;
      // What is left of `__name(f, "f");`.
      if (expression.type === "Identifier") return [];
      if (expression.type === "LogicalExpression" && expression.operator === "&&") {
        return [expressionStatement(when(expression.left, expression.right))];
      }
      if (expression.type !== "SequenceExpression") return [statement];
      return expression.expressions.flatMap((part) => flatten(expressionStatement(part), ofFunction));
    }
    case "ReturnStatement": {
      const { argument } = statement;
      if (argument?.type !== "SequenceExpression") return [statement];
      const parts = [...argument.expressions];
      const last = parts.pop()!;
      return [...parts.flatMap((part) => flatten(expressionStatement(part), ofFunction)), returnOf(last)];
    }
    case "IfStatement":
      return [asExpression(statement) ?? statement];
    default:
      return [statement];
  }
}

function isUndefined(node: Expression | null | undefined): boolean {
  return node?.type === "Identifier" && node.name === "undefined";
}

/** `if (a) b();` as `a && b();`, and `if (a) b(); else c();` as `a ? b() : c();` */
function asExpression(node: IfStatement): Statement | null {
  const then = onlyExpression(node.consequent);
  if (then === null) return null;
  if (!node.alternate) return expressionStatement(when(node.test, then));
  const otherwise = onlyExpression(node.alternate);
  return otherwise === null ? null : expressionStatement(conditional(node.test, then, otherwise));
}

/** `a && b`, where only the effect counts: `!a && b` is then `a || b`. */
function when(test: Expression, then: Expression): Expression {
  const inverse = inverseOf(test);
  return {
    ...at,
    type: "LogicalExpression",
    operator: inverse === null ? "&&" : "||",
    left: inverse ?? test,
    right: then,
  };
}

function onlyExpression(statement: Statement): Expression | null {
  const [only, more] = statement.type === "BlockStatement" ? statement.body : [statement];
  return more === undefined && only?.type === "ExpressionStatement" ? only.expression : null;
}

/** `if (a) return b; else …` as `if (a) return b; …`: names are unique when printed, so blocks may be opened. */
function splitElse(statement: Statement): Statement[] {
  if (statement.type !== "IfStatement" || !statement.alternate) return [statement];
  if (onlyReturn(statement.consequent) === null) return [statement];
  const rest = statement.alternate.type === "BlockStatement" ? statement.alternate.body : [statement.alternate];
  return [{ ...statement, alternate: null }, ...rest.flatMap(splitElse)];
}

/** `if (a) return b; return c;` as `return a ? b : c;`, from the end on. */
function joinReturns(statements: readonly Statement[]): Statement[] {
  const result = [...statements];
  for (;;) {
    const last = result.at(-1);
    const before = result.at(-2);
    if (last?.type !== "ReturnStatement" || !last.argument || before?.type !== "IfStatement" || before.alternate) {
      return result;
    }
    const value = onlyReturn(before.consequent);
    if (value === null) return result;
    result.splice(-2, 2, returnOf(conditional(before.test, value, last.argument)));
  }
}

function onlyReturn(statement: Statement): Expression | null {
  const [only, more] = statement.type === "BlockStatement" ? statement.body : [statement];
  return more === undefined && only?.type === "ReturnStatement" ? (only.argument ?? null) : null;
}

function conditional(test: Expression, consequent: Expression, alternate: Expression): Expression {
  const node: ConditionalExpression = { ...at, type: "ConditionalExpression", test, consequent, alternate };
  return simplifyConditional(node) as Expression;
}

function expressionStatement(expression: Expression): Statement {
  return { ...at, type: "ExpressionStatement", expression };
}

function returnOf(argument: Expression): Statement {
  return { ...at, type: "ReturnStatement", argument };
}
