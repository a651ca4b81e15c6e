import type { Schema } from "./column-type.ts";
import { millraceError } from "./errors.ts";
import { Meta } from "./meta.ts";
import { checkName } from "./names.ts";
import type { ColumnTypeSpec } from "./value.ts";

export interface EntityMeta {
  readonly kind: "entity";
  readonly name: string;
  readonly keys: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  readonly description: string;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** What a feature describes, such as a card or an airport: a name and one or more key columns. */
export interface Entity<out N extends string, out C extends Schema> {
  readonly [Meta]: EntityMeta;
  readonly "~entity"?: { readonly name: N; readonly keys: C };
}

const KEY_KINDS = new Set(["string", "int64", "int32", "bool", "one_of", "timestamp"]);

/** Declares an entity. Keys are strings, integers, bools, timestamps or one-ofs, never nullable, floats or lists. */
export function entity<const N extends string, const C extends Schema>(
  name: N,
  keys: C,
  options: {
    readonly description?: string;
    readonly owner?: string;
    readonly tags?: Readonly<Record<string, string>>;
  } = {},
): Entity<N, C> {
  checkName("an entity", name);
  const specs = Object.entries(keys).map(([key, type]) => {
    checkName(`a key of entity '${name}'`, key);
    if (!KEY_KINDS.has(type.spec.kind) || type.spec.nullable) {
      throw millraceError(
        "DEFINITION_INVALID",
        `Key '${key}' of entity '${name}' is ${type.spec.nullable ? "nullable" : `a ${type.spec.kind}`}: a key must be a string, int64, int32, bool, timestamp or oneOf that is not nullable.`,
      );
    }
    return { name: key, type: type.spec };
  });
  if (specs.length === 0)
    throw millraceError("DEFINITION_INVALID", `Entity '${name}' has no key: declare at least one.`);
  return Object.freeze({
    [Meta]: Object.freeze({
      kind: "entity",
      name,
      keys: specs,
      description: options.description ?? "",
      owner: options.owner ?? "",
      tags: options.tags ?? {},
    } as const),
  });
}
