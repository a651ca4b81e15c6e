/** Null if the work is not done at `deadline` (monotonic clock, milliseconds); what it still does is then dropped. */
export async function inTime<T>(work: Promise<T>, deadline: number): Promise<T | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), Math.max(0, deadline - performance.now()));
  try {
    const done = await Promise.race([work, late.promise]);
    // Work that blocks the thread also delays the timer.
    return performance.now() > deadline ? null : done;
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}
