import { field, identifierName, list, property, type SyntaxNode, stringValue, walk } from "./syntax.ts";

/** One way in which a file reaches another module. */
export interface ModuleReference {
  /** As written; null if it is computed. */
  readonly specifier: string | null;
  /** The imported names; `*` stands for the whole module. Empty for an import made for its effects. */
  readonly names: readonly string[];
  readonly typeOnly: boolean;
  readonly start: number;
}

/**
 * Every module that a program refers to: static, type and dynamic imports, re-exports, `import("x").T` in types,
 * `require`, `import.meta.resolve` and `new URL("./x.ts", import.meta.url)`, with which a worker is started.
 */
export function importsOf(program: SyntaxNode): readonly ModuleReference[] {
  const found: ModuleReference[] = [];
  walk(program, (node) => {
    const reference = referenceOf(node);
    if (reference !== null) found.push(reference);
  });
  return found;
}

function referenceOf(node: SyntaxNode): ModuleReference | null {
  const whole = (target: SyntaxNode | null, typeOnly = false): ModuleReference => ({
    specifier: stringValue(target),
    names: ["*"],
    typeOnly,
    start: node.start,
  });
  switch (node.type) {
    case "ImportDeclaration":
      return named(node, "importKind", "imported");
    case "ExportNamedDeclaration":
      return field(node, "source") === null ? null : named(node, "exportKind", "local");
    case "ExportAllDeclaration":
      return whole(field(node, "source"), property(node, "exportKind") === "type");
    case "ImportExpression":
      return whole(field(node, "source"));
    case "TSImportType": {
      const name = firstName(field(node, "qualifier"));
      return { ...whole(field(node, "source"), true), names: [name ?? "*"] };
    }
    case "TSImportEqualsDeclaration": {
      const target = field(node, "moduleReference");
      return target?.type === "TSExternalModuleReference" ? whole(field(target, "expression")) : null;
    }
    case "CallExpression":
      return isModuleCall(field(node, "callee")) ? whole(list(node, "arguments")[0] ?? null) : null;
    case "NewExpression": {
      const [target, base] = list(node, "arguments");
      if (identifierName(field(node, "callee")) !== "URL" || !isMetaMember(base ?? null, "url")) return null;
      const specifier = stringValue(target ?? null);
      return specifier !== null && /\.[cm]?[jt]s$/.test(specifier) ? whole(target ?? null) : null;
    }
    default:
      return null;
  }
}

function named(node: SyntaxNode, kind: string, nameKey: string): ModuleReference {
  const specifiers = list(node, "specifiers");
  return {
    specifier: stringValue(field(node, "source")),
    names: specifiers.map((specifier) => {
      if (specifier.type === "ImportDefaultSpecifier") return "default";
      if (specifier.type === "ImportNamespaceSpecifier") return "*";
      const name = field(specifier, nameKey);
      return identifierName(name) ?? stringValue(name) ?? "*";
    }),
    typeOnly:
      property(node, kind) === "type" ||
      (specifiers.length > 0 && specifiers.every((specifier) => property(specifier, kind) === "type")),
    start: node.start,
  };
}

function firstName(qualifier: SyntaxNode | null): string | null {
  if (qualifier?.type === "TSQualifiedName") return firstName(field(qualifier, "left"));
  return identifierName(qualifier);
}

function isModuleCall(callee: SyntaxNode | null): boolean {
  if (identifierName(callee) === "require" || isMetaMember(callee, "resolve")) return true;
  return callee?.type === "MemberExpression" && identifierName(field(callee, "object")) === "require";
}

function isMetaMember(node: SyntaxNode | null, name: string): boolean {
  return (
    node?.type === "MemberExpression" &&
    field(node, "object")?.type === "MetaProperty" &&
    identifierName(field(node, "property")) === name
  );
}
