import type { Value } from "../../definitions/value.ts";
import { createByteWriter } from "../encoding/byte-writer.ts";
import { encodeEntityKey } from "../encoding/entity-key.ts";
import { keyText } from "../encoding/key-text.ts";
import type { ViewLayout } from "../windows/view-layout.ts";
import type { EntityId } from "./entity-rows.ts";

/** Compiles what names a view's entities. */
export interface EntityIdentifier {
  /** Null if a key column is null. */
  id(row: readonly Value[]): EntityId | null;
  /** The key to keep with a new entity; null if its id is enough to make it. */
  kept(row: readonly Value[]): Uint8Array | null;
  /** The encoded key. */
  key(id: EntityId, kept: Uint8Array | null): Uint8Array;
}

export function createEntityIdentifier(layout: ViewLayout): EntityIdentifier {
  const out = createByteWriter(64);
  const { keyIndexes, keyTypes } = layout;
  const encoded = (values: readonly Value[]): Uint8Array => {
    out.reset();
    encodeEntityKey(keyTypes, values, out);
    return out.finish();
  };
  if (keyIndexes.length === 1) {
    const only = keyIndexes[0]!;
    return { id: (row) => row[only] as EntityId | null, kept: () => null, key: (id) => encoded([id]) };
  }
  return {
    id: (row) => keyText(row, keyIndexes),
    kept: (row) => encoded(keyIndexes.map((index) => row[index]!)),
    key: (_, kept) => kept!,
  };
}
