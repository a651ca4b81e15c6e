/** Of answers that are kept waiting for the next, bytes; and the shortest for which that is worth it. */
const MAX_KEPT = 2 ** 25;
const SHORTEST = 2 ** 14;

/** Memory without an answer, by the power of two that it holds. */
const free: ArrayBuffer[][] = Array.from({ length: 32 }, () => []);
let kept = 0;

/**
 * Memory for answers, to be given back when they are sent: large ones that are made anew for each request cost more time
 * in the garbage collector than all that is written into them.
 */
export const answerMemory: {
  /** Holds what an earlier answer left: every byte must be written. */
  take(length: number): Buffer;
  /** Nobody may read the answer any more. */
  giveBack(answer: Buffer): void;
} = {
  take(length) {
    if (length < SHORTEST) return Buffer.allocUnsafe(length);
    const power = Math.ceil(Math.log2(length));
    const memory = free[power]?.pop();
    if (memory === undefined) return Buffer.from(Buffer.allocUnsafeSlow(2 ** power).buffer, 0, length);
    kept -= memory.byteLength;
    return Buffer.from(memory, 0, length);
  },
  giveBack({ buffer, length }) {
    if (length < SHORTEST || kept + buffer.byteLength > MAX_KEPT) return;
    kept += buffer.byteLength;
    free[Math.log2(buffer.byteLength)]!.push(buffer as ArrayBuffer);
  },
};
