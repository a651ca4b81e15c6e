import { murmur3x32 } from "../../encoding/murmur3-32.ts";
import { utf8Length, writeUtf8 } from "../../encoding/utf8.ts";

/**
 * The number of a view's version (32 bits), by which keys and tiles name it: the same in every plan that has the
 * version, so that a job may go on with the state of an earlier plan.
 */
export function viewNumber(version: string): number {
  const bytes = new Uint8Array(utf8Length(version));
  return murmur3x32(bytes, 0, writeUtf8(version, bytes, 0), 0) >>> 0;
}
