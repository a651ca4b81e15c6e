/** Work of large requests that waits for its turn. */
export interface LargeTurns {
  /** @param begunAt when its request began to come, on the monotonic clock */
  add(begunAt: number, work: () => void): void;
}

interface Waiting {
  readonly begunAt: number;
  readonly work: () => void;
}

/**
 * One in each turn of the event loop, what began to come first before the others. Between two of them all connections are
 * read: else a client whose bodies the kernel takes as a whole would be answered time and again, while those of others,
 * which take several turns to come, wait.
 */
export function largeTurns(): LargeTurns {
  const waiting: Waiting[] = [];

  function next(): void {
    const { work } = waiting.shift()!;
    if (waiting.length > 0) setImmediate(next);
    work();
  }

  return {
    add(begunAt, work) {
      if (waiting.length === 0) setImmediate(next);
      let at = waiting.length;
      while (at > 0 && waiting[at - 1]!.begunAt > begunAt) at--;
      waiting.splice(at, 0, { begunAt, work });
    },
  };
}
