import { markAsUntransferable } from "node:worker_threads";

/** As of Node's own buffers: arrays share memory, since making one of its own costs several times the copy. */
const POOL_BYTES = 131_072;
const LARGEST_POOLED = 16_384;

let pool = new ArrayBuffer(0);
let used = 0;

/** A copy of the first `length` bytes. No two copies share bytes, though they may share an ArrayBuffer. */
export function pooledCopy(bytes: Uint8Array, length: number): Uint8Array {
  const source = new Uint8Array(bytes.buffer, bytes.byteOffset, length);
  if (length > LARGEST_POOLED) return source.slice();
  if (used + length > pool.byteLength) {
    pool = new ArrayBuffer(POOL_BYTES);
    markAsUntransferable(pool);
    used = 0;
  }
  const copy = new Uint8Array(pool, used, length);
  used += (length + 7) & ~7;
  copy.set(source);
  return copy;
}
