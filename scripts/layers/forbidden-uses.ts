import type { LayerRules } from "./rules.ts";
import { field, identifierName, list, type Place, property, type SyntaxNode, stringValue, walk } from "./syntax.ts";

/** A use of the language or its globals that the file's area forbids. */
export interface ForbiddenUse {
  readonly what: string;
  readonly why: string;
  readonly start: number;
}

const NOT_PURE = "this folder is PURE: no I/O, clock, randomness, locale or host globals (it also runs inside a JVM)";
const NO_CODE_FROM_DATA = "code runs only from the server's own declarations: nothing read from outside is evaluated";

/** Uses that no file under `src/` may contain. */
export function usesForbiddenEverywhere(program: SyntaxNode): readonly ForbiddenUse[] {
  const found: ForbiddenUse[] = [];
  walk(program, (node, place) => {
    const name = identifierName(node);
    if (name === "eval" && isReference(place)) found.push({ what: "eval", why: NO_CODE_FROM_DATA, start: node.start });
    if (name === "Function" && place.key === "callee") {
      found.push({ what: "the Function constructor", why: NO_CODE_FROM_DATA, start: node.start });
    }
  });
  return found;
}

/**
 * Uses that a PURE file may not contain. Deliberately blind to scopes: a local variable may not take the name of a
 * forbidden global either, and `Date` and `Math` appear only in the forms that are known to be harmless, so that no
 * alias or destructuring gets around the rule.
 */
export function usesForbiddenInPure(program: SyntaxNode, rules: LayerRules["pure"]): readonly ForbiddenUse[] {
  const found: ForbiddenUse[] = [];
  const add = (node: SyntaxNode, what: string, why: string = NOT_PURE): void => {
    found.push({ what, why, start: node.start });
  };
  walk(program, (node, place) => {
    if (node.type === "MetaProperty" && identifierName(field(node, "meta")) === "import") add(node, "import.meta");
    if (node.type === "MemberExpression") {
      const member = memberName(node);
      if (member !== null && rules.members.includes(member)) {
        add(node, `.${member}`, "it depends on the machine's locale or time zone; use the UTC form");
      }
    }
    const name = identifierName(node);
    if (name === null || !isReference(place)) return;
    if (rules.globals.includes(name)) add(node, name);
    if (name === "Date" && !isHarmlessDate(node, place)) {
      add(node, memberText(node, place), `${NOT_PURE}; Date may be a type, new Date(x) or Date.UTC(…)`);
    }
    if (name === "Math" && !isHarmlessMath(node, place)) {
      add(node, memberText(node, place), `${NOT_PURE}; write Math.name in full, any name but random`);
    }
  });
  return found;
}

/** False where an identifier only names a property, a key or a label. */
function isReference({ parent, key }: Place): boolean {
  if (parent === null) return true;
  const computed = property(parent, "computed") === true;
  if (parent.type === "MemberExpression" && key === "property") return computed;
  if (parent.type === "TSQualifiedName" && key === "right") return false;
  if (parent.type === "MetaProperty") return false;
  if (key === "imported" || key === "exported" || key === "label") return false;
  return key !== "key" || computed;
}

function memberName(member: SyntaxNode): string | null {
  const name = field(member, "property");
  return property(member, "computed") === true ? stringValue(name) : identifierName(name);
}

function memberText(node: SyntaxNode, { parent, key }: Place): string {
  const name = identifierName(node) ?? "";
  if (parent?.type === "MemberExpression" && key === "object") return `${name}.${memberName(parent) ?? "…"}`;
  return parent?.type === "NewExpression" ? `new ${name}` : name;
}

function isHarmlessDate(node: SyntaxNode, { parent, key }: Place): boolean {
  if (parent === null) return false;
  if (parent.type === "TSTypeReference" || parent.type === "TSQualifiedName") return true;
  if (parent.type === "BinaryExpression") return key === "right" && property(parent, "operator") === "instanceof";
  if (parent.type === "NewExpression" && field(parent, "callee") === node) {
    // Without an argument it reads the clock, with several it uses the local time zone.
    const values = list(parent, "arguments");
    return values.length === 1 && values[0]?.type !== "SpreadElement";
  }
  if (parent.type !== "MemberExpression" || key !== "object") return false;
  return ["UTC", "prototype"].includes(memberName(parent) ?? "");
}

function isHarmlessMath(_node: SyntaxNode, { parent, key }: Place): boolean {
  if (parent?.type !== "MemberExpression" || key !== "object") return false;
  const name = memberName(parent);
  return name !== null && name !== "random";
}
