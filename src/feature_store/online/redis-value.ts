import type { StoredValue } from "../../feature_engineering/engine/feature-sink.ts";
import { storeError } from "../store-error.ts";
import { pooledCopy } from "./pooled-copy.ts";
import { HEADER_BYTES } from "./redis-scripts.ts";

/** The first two bytes of every stored value: ours, and the version of the framing. Six bytes of revision follow. */
const MAGIC = 0xf5;
const VERSION = 1;
const NONE = new Uint8Array(0);

/** What stands before a stored value of this revision; nothing for revision 0, which is no value. */
export function valueHeader(revision: number): Uint8Array {
  if (revision === 0) return NONE;
  const header = new Uint8Array(HEADER_BYTES);
  writeHeader(header, revision);
  return header;
}

/**
 * Takes a value apart. Null for none. Without `copy` its bytes are the reply's, which nobody else may have then.
 * @throws `ONLINE_STORE_CORRUPT`
 */
export function readValue(framed: unknown, place: string, copy: boolean): StoredValue | null {
  if (framed === null) return null;
  if (!(framed instanceof Uint8Array) || framed.length < HEADER_BYTES || framed[0] !== MAGIC || framed[1] !== VERSION) {
    throw storeError(
      "ONLINE_STORE_CORRUPT",
      `The online store at ${place} holds something else under a value's key: remove what begins with this installation's prefix; it is filled again from the offline store.`,
      { kind: "operational", details: { place } },
    );
  }
  const revision =
    (framed[2]! * 256 + framed[3]!) * 2 ** 32 +
    ((framed[4]! << 24) | (framed[5]! << 16) | (framed[6]! << 8) | framed[7]!) +
    (framed[4]! >= 128 ? 2 ** 32 : 0);
  // Not `subarray`, which would give a Buffer.
  const bytes = new Uint8Array(framed.buffer, framed.byteOffset + HEADER_BYTES, framed.length - HEADER_BYTES);
  return { revision, bytes: copy ? pooledCopy(bytes, bytes.length) : bytes };
}

function writeHeader(into: Uint8Array, revision: number): void {
  into[0] = MAGIC;
  into[1] = VERSION;
  const high = Math.floor(revision / 2 ** 32);
  into[2] = high >>> 8;
  into[3] = high;
  into[4] = revision >>> 24;
  into[5] = revision >>> 16;
  into[6] = revision >>> 8;
  into[7] = revision;
}
