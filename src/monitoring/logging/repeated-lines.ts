/** Lets the first of equal lines through and counts the others. */
export interface RepeatedLines {
  /**
   * True if the line is to be written now. Else it counts, and `write` is called with how many there were, of the
   * newest of them, when its time is over.
   */
  admit(key: string, write: (repeated: number) => void): boolean;
  /** Writes what was counted. */
  flush(): void;
}

interface Counted {
  until: number;
  repeated: number;
  write: (repeated: number) => void;
}

/** So that keys which never end cost no memory: beyond so many different lines each is written. */
const MOST_KEYS = 1_000;

/** A line that comes again within `windowMs` is counted; once that is over, the count is written and a new one begins. */
export function repeatedLines(windowMs = 60_000, now: () => number = () => performance.now()): RepeatedLines {
  const lines = new Map<string, Counted>();
  let timer: NodeJS.Timeout | null = null;

  function settle(at: number): void {
    for (const [key, line] of lines) {
      if (line.until > at) continue;
      if (line.repeated === 0) {
        lines.delete(key);
        continue;
      }
      const { repeated, write } = line;
      line.repeated = 0;
      line.until = at + windowMs;
      write(repeated);
    }
    if (timer === null || lines.size > 0) return;
    clearInterval(timer);
    timer = null;
  }

  return {
    admit(key, write) {
      const at = now();
      let line = lines.get(key);
      if (line !== undefined && line.until <= at) settle(at);
      line = lines.get(key);
      if (line !== undefined) {
        line.repeated++;
        line.write = write;
        return false;
      }
      if (lines.size >= MOST_KEYS) return true;
      lines.set(key, { until: at + windowMs, repeated: 0, write });
      timer ??= setInterval(() => settle(now()), windowMs).unref();
      return true;
    },
    flush() {
      settle(Number.POSITIVE_INFINITY);
      lines.clear();
      if (timer !== null) clearInterval(timer);
      timer = null;
    },
  };
}
