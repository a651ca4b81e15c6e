import type { AnyNode, Identifier } from "acorn";
import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import { childNodes } from "./child-nodes.ts";
import type { ParsedFunction } from "./parse-function.ts";
import { type GlobalUse, IMPURE_MEMBERS, PURE_GLOBALS } from "./pure-globals.ts";
import { keyName, type Names } from "./resolve-names.ts";

const INPUT = "Pass it as an input of the function, or write the constant into it.";

/** Syntax that no row function needs, with what to say of it. */
const IMPURE_SYNTAX: Partial<Record<AnyNode["type"], readonly [what: string, why: string]>> = {
  ThisExpression: ["this", "what it is depends on the caller. Use the function's parameter."],
  Super: ["super", "what it is depends on the caller. Use the function's parameter."],
  AwaitExpression: ["await", "a row function answers at once. Compute the value without it."],
  YieldExpression: ["yield", "a row function answers at once. Compute the value without it."],
  ImportExpression: ["import()", "a row function loads nothing. Write what it needs into it."],
  MetaProperty: ["new.target or import.meta", "what it is depends on the caller. Leave it out."],
  ClassDeclaration: ["class", "a row function makes plain values. Use functions and objects."],
  ClassExpression: ["class", "a row function makes plain values. Use functions and objects."],
  DebuggerStatement: ["debugger", "it stops the stream. Leave it out."],
};

/**
 * Checks that a function computes from its inputs alone: it closes over nothing, uses only the listed globals (no
 * clock, no randomness, no locale, no local time), and changes nothing outside of it. This is a guard against
 * mistakes, not a sandbox: what computed property names reach is not seen.
 *
 * @throws `FUNCTION_NOT_PURE`
 */
export function checkPurity(parsed: ParsedFunction, names: Names, where: string): void {
  const refuse: Refuse = (node, what, why) => {
    throw notPure(parsed, where, node, what, why);
  };
  visit(parsed.node, null, { names, refuse });
}

type Refuse = (node: AnyNode, what: string, why: string) => never;
interface Check {
  readonly names: Names;
  readonly refuse: Refuse;
}

function visit(node: AnyNode, parent: AnyNode | null, check: Check): void {
  const syntax = IMPURE_SYNTAX[node.type];
  if (syntax !== undefined) check.refuse(node, syntax[0], syntax[1]);
  switch (node.type) {
    case "Identifier":
      checkReference(node, parent, check);
      break;
    case "FunctionExpression":
    case "ArrowFunctionExpression":
    case "FunctionDeclaration":
      if (node.async) check.refuse(node, "async", "a row function answers at once. Make it a plain function.");
      if (node.generator) check.refuse(node, "function*", "a row function answers at once. Make it a plain function.");
      break;
    case "ForOfStatement":
      if (node.await) check.refuse(node, "for await", "a row function answers at once. Use a plain loop.");
      break;
    case "VariableDeclaration":
      if (node.kind === "using" || node.kind === "await using") {
        check.refuse(node, "using", "a row function holds no resources. Use const.");
      }
      break;
    case "MemberExpression": {
      const name = keyName({ key: node.property, computed: node.computed });
      if (name !== null) checkMember(node, name, check);
      break;
    }
    case "Property": {
      const name = keyName(node);
      if (name !== null && (parent?.type === "ObjectPattern" || name === "__proto__")) checkMember(node, name, check);
      if (node.kind !== "init") check.refuse(node, `${node.kind} ${name ?? ""}`, "use a plain property.");
      break;
    }
    case "AssignmentExpression":
      checkTarget(node.left, check);
      break;
    case "UpdateExpression":
      checkTarget(node.argument, check);
      break;
    case "UnaryExpression":
      if (node.operator === "delete") checkTarget(node.argument, check);
      break;
    case "ForInStatement":
      if (node.left.type !== "VariableDeclaration") checkTarget(node.left, check);
      break;
  }
  if (node.type === "ForOfStatement" && node.left.type !== "VariableDeclaration") checkTarget(node.left, check);
  for (const child of childNodes(node)) visit(child, node, check);
}

function checkMember(node: AnyNode, name: string, check: Check): void {
  const why = IMPURE_MEMBERS.get(name);
  if (why !== undefined) check.refuse(node, name, `${why}.`);
}

function checkReference(node: Identifier, parent: AnyNode | null, check: Check): void {
  const binding = check.names.get(node);
  // Not a variable, but the name of a property or a label.
  if (binding === undefined) return;
  if (binding !== null) {
    const declares = parent?.type === "FunctionExpression";
    if (binding.self && !declares && !isCallee(node, parent)) {
      check.refuse(node, node.name, "the function may call itself, but not read or change itself.");
    }
    return;
  }
  if (node.name === "arguments") check.refuse(node, "arguments", "use the function's parameter.");
  const use = PURE_GLOBALS.get(node.name);
  if (use === undefined) check.refuse(node, node.name, `it is declared outside of it. ${INPUT}`);
  else checkGlobal(node, parent, use, check);
}

function checkGlobal(node: Identifier, parent: AnyNode | null, use: GlobalUse, check: Check): void {
  const { name } = node;
  if (parent?.type === "MemberExpression" && parent.object === node) {
    const member = keyName({ key: parent.property, computed: parent.computed });
    const allowed = use.members === true || (Array.isArray(use.members) && use.members.includes(member));
    if (name === "Math" && member === "random") {
      check.refuse(parent, "Math.random", "each call gives another value. Derive what you need from the inputs.");
    }
    if (name === "Date" && member === "now") {
      check.refuse(parent, "Date.now", "it reads the clock. Use the event's time, or a request column.");
    }
    if (member === null || !allowed) {
      check.refuse(
        parent,
        `${name}.${member ?? "[…]"}`,
        "which member that is, or what it gives, is not known to be pure.",
      );
    }
    return;
  }
  if (parent?.type === "NewExpression" && parent.callee === node) {
    if (!use.construct) check.refuse(parent, `new ${name}`, "use plain values.");
    if (name === "Date" && (parent.arguments.length !== 1 || parent.arguments[0]?.type === "SpreadElement")) {
      check.refuse(
        parent,
        `new Date with ${parent.arguments.length} arguments`,
        "it reads the clock or the machine's time zone. Use new Date(milliseconds) or Date.UTC(…).",
      );
    }
    return;
  }
  if (isCallee(node, parent)) {
    if (!use.call) {
      check.refuse(
        node,
        `${name}()`,
        name === "Date"
          ? "it reads the clock. Use the event's time, or a request column."
          : "it cannot be called here.",
      );
    }
    return;
  }
  const isType = parent?.type === "BinaryExpression" && parent.operator === "instanceof" && parent.right === node;
  if (!use.value && !isType) {
    check.refuse(node, name, `use its members directly, such as ${name}.${name === "Date" ? "UTC" : "…"}.`);
  }
}

function isCallee(node: AnyNode, parent: AnyNode | null): boolean {
  return parent?.type === "CallExpression" && parent.callee === node;
}

/** An assignment's target, or a member of it, must be declared within the function. */
function checkTarget(target: AnyNode, check: Check): void {
  switch (target.type) {
    case "Identifier":
      if (check.names.get(target) === null) {
        check.refuse(
          target,
          `an assignment to ${target.name}`,
          "it is declared outside of it. Use a variable of its own.",
        );
      }
      return;
    case "MemberExpression":
      checkTarget(target.object, check);
      return;
    case "ChainExpression":
      checkTarget(target.expression, check);
      return;
    case "ObjectPattern":
      for (const property of target.properties) {
        checkTarget(property.type === "RestElement" ? property.argument : property.value, check);
      }
      return;
    case "ArrayPattern":
      for (const element of target.elements) if (element) checkTarget(element, check);
      return;
    case "RestElement":
      checkTarget(target.argument, check);
      return;
    case "AssignmentPattern":
      checkTarget(target.left, check);
      return;
  }
}

function notPure(parsed: ParsedFunction, where: string, node: AnyNode, what: string, why: string): MillraceError {
  const line = node.loc?.start.line ?? 1;
  const text = parsed.text.split("\n")[line - 1]?.trim() ?? "";
  return millraceError(
    "FUNCTION_NOT_PURE",
    `The function of ${where} uses ${what}: ${why} It runs online, in Beam, in backfills and in training sets, and must give the same everywhere. (line ${line}: ${text.slice(0, 120)})`,
    { details: { where, what, line } },
  );
}
