import { isMillraceError } from "../../definitions/errors.ts";

/** How parts of a batch that failed are tried again. */
export interface NarrowingOptions<T> {
  /** Settles every one of the part, or rejects: those that it has settled by then take no second answer. */
  readonly attempt: (part: readonly T[]) => Promise<void>;
  readonly reject: (one: T, error: unknown) => void;
  /** The most attempts. */
  readonly attempts: number;
}

/**
 * Finds what is wrong in a batch that failed with `error`: halves are tried again, the larger first, until what fails
 * stands alone, so that one of n costs 2·log₂(n) attempts. When the attempts are used up, or the whole is down, what is
 * left fails with the last error.
 */
export async function narrowDown<T>(batch: readonly T[], error: unknown, options: NarrowingOptions<T>): Promise<void> {
  const { attempt, reject } = options;
  const parts = [{ part: batch, error }];
  let attempts = 0;
  for (let next = parts.shift(); next !== undefined; next = parts.shift()) {
    const { part, error: why } = next;
    const isDown = isMillraceError(why) && why.kind === "operational";
    if (part.length === 1 || isDown || attempts + 2 > options.attempts) {
      for (const one of part) reject(one, why);
      continue;
    }
    const middle = part.length >> 1;
    for (const half of [part.slice(0, middle), part.slice(middle)]) {
      attempts++;
      await attempt(half).catch((cause: unknown) => parts.push({ part: half, error: cause }));
    }
  }
}
