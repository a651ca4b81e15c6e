import {
  type AnyNode,
  type BinaryExpression,
  type BinaryOperator,
  type ConditionalExpression,
  type Expression,
  type Identifier,
  type Literal,
  tokenizer,
  tokTypes,
  type UnaryExpression,
} from "acorn";
import { keyName, type Names } from "./resolve-names.ts";

/**
 * One form for expressions that compilers and minifiers write in several. The operands are simplified already. No rule
 * changes what is computed.
 */
export function simplifyExpression(node: AnyNode, names: Names): AnyNode {
  switch (node.type) {
    case "Identifier":
      // `Infinity` is also written 1 / 0, and `NaN` 0 / 0.
      if (names.get(node) !== null) return node;
      if (node.name === "Infinity") return literal(Number.POSITIVE_INFINITY);
      return node.name === "NaN" ? literal(Number.NaN) : node;
    case "UnaryExpression":
      return simplifyUnary(node);
    case "BinaryExpression":
      return simplifyBinary(node, names);
    case "ConditionalExpression":
      return simplifyConditional(node);
    case "TemplateLiteral": {
      const text = node.quasis[0]?.value.cooked;
      return node.expressions.length === 0 && typeof text === "string" ? literal(text) : node;
    }
    case "MemberExpression": {
      const name = keyName({ key: node.property, computed: node.computed });
      return node.computed && name !== null && isIdentifierName(name)
        ? { ...node, computed: false, property: identifier(name) }
        : node;
    }
    case "Property": {
      const name = keyName(node);
      return name === null ? node : { ...node, computed: false, key: literal(name) };
    }
    default:
      return node;
  }
}

/** A name that needs no quotes as a property. */
export function isIdentifierName(name: string): boolean {
  if (isAscii(name)) return /^[A-Za-z$_][\w$]*$/.test(name);
  // By the parser's tables: not every engine that compiles a plan has those of Unicode.
  try {
    const [token, more] = [...tokenizer(name, { ecmaVersion: "latest" })];
    return token?.type === tokTypes.name && token.end === name.length && more === undefined;
  } catch {
    return false;
  }
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) >= 0x80) return false;
  return true;
}

const at = { start: 0, end: 0 };

function literal(value: string | number | boolean): Literal {
  return { ...at, type: "Literal", value };
}

function identifier(name: string): Identifier {
  return { ...at, type: "Identifier", name };
}

/** x of `!x`, `a === b` of `a !== b`; null for anything else. */
export function inverseOf(node: Expression): Expression | null {
  if (node.type === "UnaryExpression" && node.operator === "!") return node.argument;
  if (node.type !== "BinaryExpression" || (node.operator !== "!==" && node.operator !== "!=")) return null;
  return { ...node, operator: node.operator === "!==" ? "===" : "==" };
}

const OPPOSITES: Partial<Record<BinaryOperator, BinaryOperator>> = {
  "===": "!==",
  "!==": "===",
  "==": "!=",
  "!=": "==",
};

function simplifyUnary(node: UnaryExpression): AnyNode {
  const { operator, argument } = node;
  if (argument.type === "Literal") {
    if (operator === "void") return identifier("undefined");
    const { value } = argument;
    if (operator === "!" && (value === null || typeof value !== "object")) return literal(!value);
    if (operator === "-" && typeof value === "number") return literal(-value);
    if (operator === "+" && typeof value === "number") return literal(value);
  }
  if (operator === "!" && argument.type === "BinaryExpression") {
    const opposite = OPPOSITES[argument.operator];
    if (opposite !== undefined) return { ...argument, operator: opposite };
  }
  return node;
}

function simplifyBinary(node: BinaryExpression, names: Names): AnyNode {
  const { left, right } = node;
  if (left.type === "Literal" && right.type === "Literal") {
    const folded = fold(node.operator, left.value, right.value);
    if (folded !== null) return literal(folded);
  }
  // `null === x` is `x === null`: a constant has no effect that could come first.
  if (OPPOSITES[node.operator] !== undefined && isConstant(left, names) && !isConstant(right, names)) {
    return { ...node, left: right, right: left as Expression };
  }
  return node;
}

function isConstant(node: AnyNode, names: Names): boolean {
  if (node.type === "Literal") return true;
  return node.type === "Identifier" && node.name === "undefined" && (names.get(node) ?? null) === null;
}

/** Only what ECMAScript defines to the bit: not `**`. */
function fold(operator: BinaryOperator, a: Literal["value"], b: Literal["value"]): string | number | null {
  if (typeof a === "string" && typeof b === "string") return operator === "+" ? a + b : null;
  if (typeof a !== "number" || typeof b !== "number") return null;
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "%":
      return a % b;
    case "&":
      return a & b;
    case "|":
      return a | b;
    case "^":
      return a ^ b;
    case "<<":
      return a << b;
    case ">>":
      return a >> b;
    case ">>>":
      return a >>> b;
    default:
      return null;
  }
}

/** The test is neither a negation nor an inequality: then the branches change places. */
export function simplifyConditional(node: ConditionalExpression): AnyNode {
  const { test, consequent, alternate } = node;
  const inverse = inverseOf(test);
  if (inverse === null) return node;
  return simplifyConditional({ ...node, test: inverse, consequent: alternate, alternate: consequent });
}
