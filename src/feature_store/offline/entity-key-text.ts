import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { createByteWriter } from "../../feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../../feature_engineering/encoding/entity-key.ts";

const scratch = createByteWriter(64);

/**
 * An entity's key as one text: the entity's name, a colon, and the encoded key in hex digits. Equal for equal keys of
 * one entity and for those only. Null if a part of the key is null.
 */
export function entityKeyText(entity: string, types: readonly ColumnTypeSpec[], key: readonly Value[]): string | null {
  scratch.reset();
  if (!encodeEntityKey(types, key, scratch)) return null;
  return `${entity}:${Buffer.from(scratch.finish()).toString("hex")}`;
}
