import type { AnyNode } from "acorn";

/** A node's own fields that are nodes or lists of nodes. */
export function childNodes(node: AnyNode): AnyNode[] {
  const children: AnyNode[] = [];
  for (const value of Object.values(node)) {
    if (isNode(value)) children.push(value);
    else if (Array.isArray(value)) for (const item of value) if (isNode(item)) children.push(item);
  }
  return children;
}

/** A copy of a node whose children are replaced by what `map` makes of them. */
export function mapChildren<Kind extends AnyNode>(node: Kind, map: (child: AnyNode) => AnyNode): Kind {
  const entries = Object.entries(node).map(([name, value]: [string, unknown]) => [
    name,
    isNode(value)
      ? map(value)
      : Array.isArray(value)
        ? value.map((item: unknown) => (isNode(item) ? map(item) : item))
        : value,
  ]);
  // The copy has the fields of the original, and children keep their places.
  return Object.fromEntries(entries) as Kind;
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}
