import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { createByteReader } from "../../feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../feature_engineering/encoding/byte-writer.ts";
import { decodeEntityKey, encodeEntityKey } from "../../feature_engineering/encoding/entity-key.ts";

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

/** The encoded key of an `entityKeyText`. */
export function encodedKeyOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.slice(text.indexOf(":") + 1), "hex"));
}

/** The key of an `entityKeyText`, in the entity's order. */
export function keyOf(text: string): Value[] {
  return decodeEntityKey(createByteReader(encodedKeyOf(text)));
}
