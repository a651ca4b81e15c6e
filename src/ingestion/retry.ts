/** Waits some ms; rejects with the signal's reason when that aborts. */
export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>;

export interface RetryPolicy {
  readonly sleep: Sleep;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** The first delay's bound, ms; doubles with each attempt. */
  readonly baseMs: number;
  /** The largest bound of a delay, ms. */
  readonly maxMs: number;
}

/** Sleeps by the platform's timer. */
export const timerSleep: Sleep = (ms, signal) =>
  new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });

/**
 * Runs an operation until it succeeds, with full-jitter exponential backoff (AWS, "Exponential Backoff And Jitter").
 * Gives up with the operation's error if that is not to be retried, or once the signal aborts.
 */
export async function retry<T>(
  operation: () => Promise<T>,
  policy: RetryPolicy,
  signal: AbortSignal,
  onError: (error: unknown, attempt: number) => boolean,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation();
    } catch (error) {
      if (signal.aborted || !onError(error, attempt)) throw error;
      const bound = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(attempt - 1, 30));
      try {
        await policy.sleep(policy.random() * bound, signal);
      } catch {
        throw error;
      }
    }
  }
}
