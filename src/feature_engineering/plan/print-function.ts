import type { AnyNode, Expression, Pattern, Statement, SwitchCase, TemplateLiteral, VariableDeclaration } from "acorn";
import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import { createNamer } from "./canonical-names.ts";
import type { FunctionNode } from "./parse-function.ts";
import type { Names } from "./resolve-names.ts";
import { isIdentifierName } from "./simplify-expression.ts";

type AnyFunction = FunctionNode | Extract<AnyNode, { type: "FunctionDeclaration" }>;

/** The nodes' operators by how tightly they bind. */
const LEVEL = { sequence: 0, assignment: 1, conditional: 2, unary: 15, postfix: 16, call: 17, primary: 18 };
const BINARY_LEVELS: Readonly<Record<string, number>> = {
  "??": 3,
  "||": 3,
  "&&": 4,
  "|": 5,
  "^": 6,
  "&": 7,
  "==": 8,
  "!=": 8,
  "===": 8,
  "!==": 8,
  "<": 9,
  "<=": 9,
  ">": 9,
  ">=": 9,
  in: 9,
  instanceof: 9,
  "<<": 10,
  ">>": 10,
  ">>>": 10,
  "+": 11,
  "-": 11,
  "*": 12,
  "/": 12,
  "%": 12,
  "**": 13,
};

/**
 * A function's canonical text: an arrow function on one line, for display and hashing, never executed. Names come from
 * the properties that patterns take them from, the others are v1, v2, … in the order in which they appear.
 */
export function printFunction(node: FunctionNode, names: Names): string {
  const text = createNamer(names);

  const list = (nodes: readonly AnyNode[]): string => nodes.map((n) => expression(n, LEVEL.assignment)).join(", ");

  function functionText(fn: AnyFunction): string {
    const parameters = `(${fn.params.map(pattern).join(", ")})`;
    // The simplified form has a block always.
    const body = fn.body.type === "BlockStatement" ? fn.body.body : [];
    const isNamed =
      fn.type === "FunctionDeclaration" || (fn.type === "FunctionExpression" && fn.id && text.isUsed(fn.id));
    if (isNamed) return `function ${fn.id ? text.of(fn.id) : ""}${parameters} ${blockText(body)}`;
    const [only, more] = body;
    if (more === undefined && only?.type === "ReturnStatement" && only.argument) {
      const value = expression(only.argument, LEVEL.assignment);
      return `${parameters} => ${value.startsWith("{") ? `(${value})` : value}`;
    }
    return `${parameters} => ${blockText(body)}`;
  }

  function blockText(statements: readonly Statement[]): string {
    return statements.length === 0 ? "{}" : `{ ${statements.map(statement).join(" ")} }`;
  }

  function pattern(node: Pattern): string {
    switch (node.type) {
      case "Identifier":
        return text.of(node);
      case "ObjectPattern": {
        const properties = node.properties.map((property) => {
          if (property.type === "RestElement") return pattern(property);
          return keyed(property.key, property.computed, pattern(property.value));
        });
        return properties.length === 0 ? "{}" : `{ ${properties.join(", ")} }`;
      }
      case "ArrayPattern":
        return `[${node.elements.map((element) => (element ? pattern(element) : "")).join(", ")}]`;
      case "RestElement":
        return `...${pattern(node.argument)}`;
      case "AssignmentPattern":
        return `${pattern(node.left)} = ${expression(node.right, LEVEL.assignment)}`;
      default:
        return expression(node, LEVEL.call);
    }
  }

  /** A property; the key is left out if the value starts with the same name. */
  function keyed(key: AnyNode, computed: boolean, value: string): string {
    if (computed) return `[${expression(key, LEVEL.assignment)}]: ${value}`;
    const name = key.type === "Literal" && typeof key.value === "string" ? key.value : null;
    if (name === null) return `${expression(key, LEVEL.primary)}: ${value}`;
    if (!isIdentifierName(name)) return `${JSON.stringify(name)}: ${value}`;
    return value === name || value.startsWith(`${name} = `) ? value : `${name}: ${value}`;
  }

  function declaration(node: VariableDeclaration): string {
    const parts = node.declarations.map(({ id, init }) =>
      init ? `${pattern(id)} = ${expression(init, LEVEL.assignment)}` : pattern(id),
    );
    return `${node.kind} ${parts.join(", ")}`;
  }

  function statement(node: Statement | SwitchCase): string {
    switch (node.type) {
      case "BlockStatement":
        return blockText(node.body);
      case "ExpressionStatement": {
        const value = expression(node.expression, LEVEL.sequence);
        return /^(\{|function\b|let\b)/.test(value) ? `(${value});` : `${value};`;
      }
      case "VariableDeclaration":
        return `${declaration(node)};`;
      case "FunctionDeclaration":
        return functionText(node);
      case "ReturnStatement":
        return node.argument ? `return ${expression(node.argument, LEVEL.sequence)};` : "return;";
      case "ThrowStatement":
        return `throw ${expression(node.argument, LEVEL.sequence)};`;
      case "IfStatement": {
        const head = `if (${expression(node.test, LEVEL.sequence)}) ${statement(node.consequent)}`;
        return node.alternate ? `${head} else ${statement(node.alternate)}` : head;
      }
      case "ForStatement": {
        const { init, test, update } = node;
        const first = !init ? "" : init.type === "VariableDeclaration" ? declaration(init) : expression(init, 0);
        const rest = [test, update].map((part) => (part ? ` ${expression(part, LEVEL.sequence)}` : ""));
        return `for (${first};${rest[0]};${rest[1]}) ${statement(node.body)}`;
      }
      case "ForInStatement":
      case "ForOfStatement": {
        const left = node.left.type === "VariableDeclaration" ? declaration(node.left) : pattern(node.left);
        const word = node.type === "ForInStatement" ? "in" : "of";
        return `for (${left} ${word} ${expression(node.right, LEVEL.assignment)}) ${statement(node.body)}`;
      }
      case "WhileStatement":
        return `while (${expression(node.test, LEVEL.sequence)}) ${statement(node.body)}`;
      case "DoWhileStatement":
        return `do ${statement(node.body)} while (${expression(node.test, LEVEL.sequence)});`;
      case "SwitchStatement":
        return `switch (${expression(node.discriminant, LEVEL.sequence)}) { ${node.cases.map(statement).join(" ")} }`;
      case "SwitchCase": {
        const head = node.test ? `case ${expression(node.test, LEVEL.sequence)}:` : "default:";
        return [head, ...node.consequent.map(statement)].join(" ");
      }
      case "BreakStatement":
        return node.label ? `break ${node.label.name};` : "break;";
      case "ContinueStatement":
        return node.label ? `continue ${node.label.name};` : "continue;";
      case "LabeledStatement":
        return `${node.label.name}: ${statement(node.body)}`;
      case "TryStatement": {
        const { handler, finalizer } = node;
        const parameter = handler?.param ? ` (${pattern(handler.param)})` : "";
        return [
          `try ${blockText(node.block.body)}`,
          ...(handler ? [`catch${parameter} ${blockText(handler.body.body)}`] : []),
          ...(finalizer ? [`finally ${blockText(finalizer.body)}`] : []),
        ].join(" ");
      }
      default:
        throw unprintable(node);
    }
  }

  /** A tag sees how its text was written, otherwise only what it says counts. */
  function template(node: TemplateLiteral, tagged: boolean): string {
    const parts = node.quasis.map(({ value }, index) => {
      const part = node.expressions[index];
      const own = tagged ? value.raw : (value.cooked ?? "").replace(/[\\`]|\$\{/g, "\\$&").replaceAll("\n", "\\n");
      return part ? `${own}\${${expression(part, LEVEL.sequence)}}` : own;
    });
    return `\`${parts.join("")}\``;
  }

  function expression(node: AnyNode, level: number): string {
    const [value, own] = parts(node);
    return own < level ? `(${value})` : value;
  }

  /** The text, and how tightly it binds. */
  function parts(node: AnyNode): readonly [string, number] {
    switch (node.type) {
      case "Identifier":
        return [text.of(node), LEVEL.primary];
      case "Literal":
        return literalText(node);
      case "TemplateLiteral":
        return [template(node, false), LEVEL.primary];
      case "TaggedTemplateExpression":
        return [`${expression(node.tag, LEVEL.call)}${template(node.quasi, true)}`, LEVEL.call];
      case "ArrayExpression": {
        const elements = node.elements.map((element) => (element ? expression(element, LEVEL.assignment) : ""));
        // A hole at the end needs a comma of its own.
        return [`[${elements.join(", ")}${node.elements.at(-1) === null ? "," : ""}]`, LEVEL.primary];
      }
      case "ObjectExpression": {
        const properties = node.properties.map((property) =>
          property.type === "SpreadElement"
            ? expression(property, LEVEL.assignment)
            : keyed(property.key, property.computed, expression(property.value, LEVEL.assignment)),
        );
        return [properties.length === 0 ? "{}" : `{ ${properties.join(", ")} }`, LEVEL.primary];
      }
      case "ArrowFunctionExpression":
      case "FunctionExpression":
        return [functionText(node), LEVEL.assignment];
      case "SpreadElement":
        return [`...${expression(node.argument, LEVEL.assignment)}`, LEVEL.assignment];
      case "UnaryExpression": {
        const operand = expression(node.argument, LEVEL.unary);
        const space = /^[a-z]/.test(node.operator) || operand.startsWith(node.operator) ? " " : "";
        return [`${node.operator}${space}${operand}`, LEVEL.unary];
      }
      case "UpdateExpression": {
        const operand = expression(node.argument, LEVEL.postfix);
        return node.prefix
          ? [`${node.operator}${operand}`, LEVEL.unary]
          : [`${operand}${node.operator}`, LEVEL.postfix];
      }
      case "BinaryExpression":
      case "LogicalExpression": {
        const own = BINARY_LEVELS[node.operator]!;
        const toTheRight = node.operator === "**";
        // `??` does not mix with `||` and `&&` without parentheses.
        const side = (child: AnyNode, atLeast: number): string =>
          node.type === "LogicalExpression" &&
          child.type === "LogicalExpression" &&
          (node.operator === "??") !== (child.operator === "??")
            ? `(${expression(child, LEVEL.sequence)})`
            : expression(child, atLeast);
        const left = side(node.left, toTheRight ? LEVEL.postfix : own);
        return [`${left} ${node.operator} ${side(node.right, toTheRight ? own : own + 1)}`, own];
      }
      case "AssignmentExpression":
        return [`${pattern(node.left)} ${node.operator} ${expression(node.right, LEVEL.assignment)}`, LEVEL.assignment];
      case "ConditionalExpression":
        return [
          `${expression(node.test, LEVEL.conditional + 1)} ? ${expression(node.consequent, LEVEL.assignment)} : ${expression(node.alternate, LEVEL.assignment)}`,
          LEVEL.conditional,
        ];
      case "ChainExpression":
        // Binds less than a member access, so that `(a?.b).c` keeps its parentheses.
        return [expression(node.expression, LEVEL.call), LEVEL.postfix];
      case "MemberExpression": {
        const object = expression(node.object, LEVEL.call);
        const target = /^-?[0-9.]+$/.test(object) ? `(${object})` : object;
        const property =
          !node.computed && node.property.type === "Identifier"
            ? `${node.optional ? "?." : "."}${node.property.name}`
            : `${node.optional ? "?." : ""}[${expression(node.property, LEVEL.sequence)}]`;
        return [`${target}${property}`, LEVEL.call];
      }
      case "CallExpression":
        return [
          `${expression(node.callee, LEVEL.call)}${node.optional ? "?." : ""}(${list(node.arguments)})`,
          LEVEL.call,
        ];
      case "NewExpression": {
        const callee = expression(node.callee, LEVEL.call);
        return [`new ${callee.includes("(") ? `(${callee})` : callee}(${list(node.arguments)})`, LEVEL.call];
      }
      case "SequenceExpression":
        return [list(node.expressions), LEVEL.sequence];
      default:
        throw unprintable(node);
    }
  }

  return functionText(node);
}

function literalText(node: Extract<Expression, { type: "Literal" }>): readonly [string, number] {
  if (node.regex !== undefined) {
    return [`/${node.regex.pattern}/${[...node.regex.flags].sort().join("")}`, LEVEL.primary];
  }
  if (typeof node.bigint === "string") return [`${BigInt(node.bigint)}n`, LEVEL.primary];
  if (typeof node.value !== "number") return [JSON.stringify(node.value ?? null), LEVEL.primary];
  const negative = node.value < 0 || Object.is(node.value, -0);
  return [Object.is(node.value, -0) ? "-0" : String(node.value), negative ? LEVEL.unary : LEVEL.primary];
}

function unprintable(node: AnyNode): MillraceError {
  return millraceError("FUNCTION_UNREADABLE", `A function contains ${node.type}, which has no canonical form.`, {
    kind: "bug",
  });
}
