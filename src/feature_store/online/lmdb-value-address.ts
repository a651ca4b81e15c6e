import { createHash } from "node:crypto";

/** The key of a value in LMDB, before it becomes bytes. */
export interface ValueAddress {
  /** The number that the store gave to the keyspace. */
  readonly keyspaceId: number;
  /** True if `key` is the SHA-256 of an entity key that is too long for LMDB; the value then begins with that key. */
  readonly hashed: boolean;
  readonly key: Uint8Array;
}

/** LMDB's limit with pages of 4 KB, less the five bytes of the keyspace and the form. */
const LONGEST_KEY = 1978 - 5;

export function valueAddress(keyspaceId: number, key: Uint8Array): ValueAddress {
  if (key.length <= LONGEST_KEY) return { keyspaceId, hashed: false, key };
  return { keyspaceId, hashed: true, key: createHash("sha256").update(key).digest() };
}

/** The first address of a keyspace; that of the next number is the end of it. */
export function keyspaceStart(keyspaceId: number): ValueAddress {
  return { keyspaceId, hashed: false, key: new Uint8Array(0) };
}

/** How lmdb turns addresses into keys and back: keyspace (4 bytes, big endian), form, key. */
export const valueAddressEncoder: {
  writeKey(address: ValueAddress, target: Uint8Array, start: number): number;
  readKey(source: Uint8Array, start: number, end: number): ValueAddress;
} = {
  writeKey({ keyspaceId, hashed, key }, target, start) {
    target[start] = keyspaceId >>> 24;
    target[start + 1] = keyspaceId >>> 16;
    target[start + 2] = keyspaceId >>> 8;
    target[start + 3] = keyspaceId;
    target[start + 4] = hashed ? 1 : 0;
    const length = key.length;
    // Faster than `set` for short keys.
    if (length <= 48) for (let index = 0; index < length; index++) target[start + 5 + index] = key[index]!;
    else target.set(key, start + 5);
    return start + 5 + length;
  },
  readKey(source, start, end) {
    const keyspaceId =
      ((source[start]! << 24) | (source[start + 1]! << 16) | (source[start + 2]! << 8) | source[start + 3]!) >>> 0;
    return { keyspaceId, hashed: source[start + 4] === 1, key: Uint8Array.from(source.subarray(start + 5, end)) };
  },
};

/** A value of a hashed address: the length of the full key (4 bytes, little endian), the key, the bytes. */
export function withFullKey(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const joined = new Uint8Array(4 + key.length + bytes.length);
  new DataView(joined.buffer).setUint32(0, key.length, true);
  joined.set(key, 4);
  joined.set(bytes, 4 + key.length);
  return joined;
}

/** Splits what {@link withFullKey} joined. */
export function splitFullKey(joined: Uint8Array): { readonly key: Uint8Array; readonly bytes: Uint8Array } {
  const length = new DataView(joined.buffer, joined.byteOffset).getUint32(0, true);
  return { key: joined.slice(4, 4 + length), bytes: joined.slice(4 + length) };
}
