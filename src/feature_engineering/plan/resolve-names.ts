import type { AnyNode, Identifier, Pattern, VariableDeclaration } from "acorn";
import { childNodes } from "./child-nodes.ts";
import type { FunctionNode } from "./parse-function.ts";

/** A name declared within a function. */
export interface Binding {
  /** The property that an object pattern takes it from, if it does: the same whatever a tool renamed it to. */
  readonly hint: string | null;
  /** True for the outermost function's own name. */
  readonly self: boolean;
}

/** Which declaration each identifier of a function names; null for those that are declared outside of it. */
export type Names = ReadonlyMap<Identifier, Binding | null>;

interface Scope {
  readonly bindings: Map<string, Binding>;
  readonly parent: Scope | null;
}

/** Resolves every identifier of a function that stands for a variable (not property names, not labels). */
export function resolveNames(node: FunctionNode): Names {
  const names = new Map<Identifier, Binding | null>();
  visitFunction(node, null, names, true);
  return names;
}

function scopeIn(parent: Scope | null): Scope {
  return { bindings: new Map(), parent };
}

function visitFunction(
  node: FunctionNode | Extract<AnyNode, { type: "FunctionDeclaration" }>,
  outer: Scope | null,
  names: Map<Identifier, Binding | null>,
  outermost = false,
): void {
  const own = scopeIn(outer);
  if (node.type === "FunctionExpression" && node.id) {
    names.set(node.id, declare(own, node.id.name, null, outermost));
  }
  const scope = scopeIn(own);
  for (const parameter of node.params) declarePattern(parameter, scope, null, names);
  for (const parameter of node.params) visitPattern(parameter, scope, names);
  if (node.body.type === "BlockStatement") {
    hoistVars(node.body, scope, names);
    hoistBlock(node.body.body, scope, names);
    for (const statement of node.body.body) visit(statement, scope, names);
  } else {
    visit(node.body, scope, names);
  }
}

function declare(scope: Scope, name: string, hint: string | null, self = false): Binding {
  const known = scope.bindings.get(name);
  if (known !== undefined) return known;
  const binding: Binding = { hint, self };
  scope.bindings.set(name, binding);
  return binding;
}

function declarePattern(
  pattern: Pattern,
  scope: Scope,
  hint: string | null,
  names: Map<Identifier, Binding | null>,
): void {
  switch (pattern.type) {
    case "Identifier":
      names.set(pattern, declare(scope, pattern.name, hint));
      return;
    case "ObjectPattern":
      for (const property of pattern.properties) {
        if (property.type === "RestElement") declarePattern(property, scope, null, names);
        else declarePattern(property.value, scope, keyName(property), names);
      }
      return;
    case "ArrayPattern":
      for (const element of pattern.elements) if (element) declarePattern(element, scope, null, names);
      return;
    case "RestElement":
      declarePattern(pattern.argument, scope, null, names);
      return;
    case "AssignmentPattern":
      declarePattern(pattern.left, scope, hint, names);
      return;
  }
}

/** The name of a property that is written out, as an identifier or a string. */
export function keyName(property: { readonly key: AnyNode; readonly computed: boolean }): string | null {
  const { key, computed } = property;
  if (key.type === "Identifier" && !computed) return key.name;
  return key.type === "Literal" && typeof key.value === "string" ? key.value : null;
}

/** Declares the `var`s of a function's body, however deep in blocks. */
function hoistVars(node: AnyNode, scope: Scope, names: Map<Identifier, Binding | null>): void {
  if (isFunction(node)) return;
  if (node.type === "VariableDeclaration" && node.kind === "var") declareAll(node, scope, names);
  for (const child of childNodes(node)) hoistVars(child, scope, names);
}

/** Declares what `let`, `const` and function declarations of a block declare. */
function hoistBlock(statements: readonly AnyNode[], scope: Scope, names: Map<Identifier, Binding | null>): void {
  for (const statement of statements) {
    if (statement.type === "VariableDeclaration" && statement.kind !== "var") declareAll(statement, scope, names);
    if (statement.type === "FunctionDeclaration" && statement.id !== null) {
      names.set(statement.id, declare(scope, statement.id.name, null));
    }
  }
}

function declareAll(node: VariableDeclaration, scope: Scope, names: Map<Identifier, Binding | null>): void {
  for (const { id } of node.declarations) declarePattern(id, scope, null, names);
}

function isFunction(node: AnyNode): node is FunctionNode | Extract<AnyNode, { type: "FunctionDeclaration" }> {
  return (
    node.type === "FunctionExpression" || node.type === "ArrowFunctionExpression" || node.type === "FunctionDeclaration"
  );
}

/** Resolves what a pattern evaluates: defaults and computed keys, and, where nothing is declared, its targets. */
function visitPattern(pattern: Pattern, scope: Scope, names: Map<Identifier, Binding | null>): void {
  switch (pattern.type) {
    case "ObjectPattern":
      for (const property of pattern.properties) {
        if (property.type === "RestElement") visitPattern(property, scope, names);
        else {
          if (property.computed) visit(property.key, scope, names);
          visitPattern(property.value, scope, names);
        }
      }
      return;
    case "ArrayPattern":
      for (const element of pattern.elements) if (element) visitPattern(element, scope, names);
      return;
    case "RestElement":
      visitPattern(pattern.argument, scope, names);
      return;
    case "AssignmentPattern":
      visitPattern(pattern.left, scope, names);
      visit(pattern.right, scope, names);
      return;
    default:
      visit(pattern, scope, names);
  }
}

function visit(node: AnyNode, scope: Scope, names: Map<Identifier, Binding | null>): void {
  switch (node.type) {
    case "Identifier":
      if (!names.has(node)) names.set(node, lookUp(scope, node.name));
      return;
    case "ArrowFunctionExpression":
    case "FunctionExpression":
    case "FunctionDeclaration":
      visitFunction(node, scope, names);
      return;
    case "MemberExpression":
      visit(node.object, scope, names);
      if (node.computed) visit(node.property, scope, names);
      return;
    case "Property":
      if (node.computed) visit(node.key, scope, names);
      visit(node.value, scope, names);
      return;
    case "ObjectPattern":
    case "ArrayPattern":
    case "AssignmentPattern":
    case "RestElement":
      visitPattern(node, scope, names);
      return;
    case "BlockStatement": {
      const block = scopeIn(scope);
      hoistBlock(node.body, block, names);
      for (const statement of node.body) visit(statement, block, names);
      return;
    }
    case "SwitchStatement": {
      visit(node.discriminant, scope, names);
      const block = scopeIn(scope);
      for (const { consequent } of node.cases) hoistBlock(consequent, block, names);
      for (const { test, consequent } of node.cases) {
        if (test) visit(test, block, names);
        for (const statement of consequent) visit(statement, block, names);
      }
      return;
    }
    case "ForStatement":
    case "ForInStatement":
    case "ForOfStatement": {
      const loop = scopeIn(scope);
      const head = node.type === "ForStatement" ? node.init : node.left;
      if (head?.type === "VariableDeclaration") hoistBlock([head], loop, names);
      for (const child of childNodes(node)) visit(child, loop, names);
      return;
    }
    case "CatchClause": {
      const block = scopeIn(scope);
      if (node.param) {
        declarePattern(node.param, block, null, names);
        visitPattern(node.param, block, names);
      }
      visit(node.body, block, names);
      return;
    }
    case "LabeledStatement":
      visit(node.body, scope, names);
      return;
    case "BreakStatement":
    case "ContinueStatement":
      return;
    default:
      for (const child of childNodes(node)) visit(child, scope, names);
  }
}

function lookUp(scope: Scope, name: string): Binding | null {
  for (let at: Scope | null = scope; at !== null; at = at.parent) {
    const binding = at.bindings.get(name);
    if (binding !== undefined) return binding;
  }
  return null;
}
