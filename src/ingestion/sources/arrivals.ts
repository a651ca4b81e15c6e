/** Where a source's `fetch` waits until there may be something to give. One waits at a time. */
export interface Arrivals {
  /** Something may have arrived, or changed: whoever waits looks again. */
  note(): void;
  /** Resolves at the next `note`, or after so many milliseconds; rejects with the signal's reason when that aborts. */
  next(ms: number, signal: AbortSignal): Promise<void>;
}

export function arrivals(): Arrivals {
  let wake: (() => void) | null = null;
  return {
    note: () => wake?.(),
    next: (ms, signal) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted();
        const end = (): void => {
          clearTimeout(timer);
          signal.removeEventListener("abort", aborted);
          wake = null;
        };
        const aborted = (): void => {
          end();
          reject(signal.reason);
        };
        const done = (): void => {
          end();
          resolve();
        };
        const timer = setTimeout(done, ms);
        signal.addEventListener("abort", aborted, { once: true });
        wake = done;
      }),
  };
}
