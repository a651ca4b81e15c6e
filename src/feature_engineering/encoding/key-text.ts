import type { Value } from "../../definitions/value.ts";

/**
 * The key of an entity as a text, for maps: the values at `indexes` of a row. Of keys of one entity, equal texts are
 * equal keys. Null if a value is null: such a row belongs to no entity.
 */
export function keyText(row: readonly Value[], indexes: readonly number[]): string | null {
  if (indexes.length === 1) {
    const only = row[indexes[0]!]!;
    return only === null ? null : String(only);
  }
  let text = "";
  for (const index of indexes) {
    const value = row[index]!;
    if (value === null) return null;
    const part = String(value);
    text += `${part.length}:${part}`;
  }
  return text;
}
