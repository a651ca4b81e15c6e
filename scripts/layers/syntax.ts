/** A node of the ESTree that oxc-parser makes; other properties are reached through `field`. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
}

/** The child node in a property, or null if there is none. */
export function field(node: SyntaxNode, key: string): SyntaxNode | null {
  const value = property(node, key);
  return isNode(value) ? value : null;
}

/** The child nodes in an array property. */
export function list(node: SyntaxNode, key: string): readonly SyntaxNode[] {
  const value = property(node, key);
  return Array.isArray(value) ? value.filter(isNode) : [];
}

export function property(node: SyntaxNode, key: string): unknown {
  return (node as unknown as Record<string, unknown>)[key];
}

/** The name of an identifier, or null for any other node. */
export function identifierName(node: SyntaxNode | null): string | null {
  return node?.type === "Identifier" ? String(property(node, "name")) : null;
}

/** The value of a string literal or of a template without expressions, or null for any other node. */
export function stringValue(node: SyntaxNode | null): string | null {
  if (node === null) return null;
  const value = property(node, "value");
  if (node.type === "Literal" && typeof value === "string") return value;
  const quasis = list(node, "quasis");
  const only = quasis[0];
  if (node.type !== "TemplateLiteral" || quasis.length !== 1 || only === undefined) return null;
  return (property(only, "value") as { cooked: string }).cooked;
}

/** Where a node hangs: the property `key` of `parent`. */
export interface Place {
  readonly parent: SyntaxNode | null;
  readonly key: string;
}

/** Calls `visit` for the node and all below it, parents first. */
export function walk(
  node: SyntaxNode,
  visit: (node: SyntaxNode, place: Place) => void,
  place: Place = { parent: null, key: "" },
): void {
  visit(node, place);
  for (const [key, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) walk(child, visit, { parent: node, key });
    }
  }
}
