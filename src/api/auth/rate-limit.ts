/** Buckets of requests, one for each key. */
export interface RateLimit {
  /** Takes one from a key's bucket: 0 if it may go on, else the seconds until it may. */
  take(key: string, perSecond: number): number;
  /** What was taken last did not count. */
  giveBack(key: string): void;
}

/** Buckets that were full again are forgotten above this many. */
const MOST_BUCKETS = 10_000;

/**
 * A token bucket for each key: `perSecond` requests in the long run, up to one second's worth, at least one, at once.
 * Counted in this process alone.
 *
 * @param now monotonic, milliseconds
 */
export function rateLimit(now: () => number = () => performance.now()): RateLimit {
  const buckets = new Map<string, { tokens: number; at: number; fullAt: number }>();
  function take(key: string, perSecond: number): number {
    const at = now();
    const most = Math.max(perSecond, 1);
    const bucket = buckets.get(key) ?? { tokens: most, at, fullAt: at };
    bucket.tokens = Math.min(most, bucket.tokens + ((at - bucket.at) / 1_000) * perSecond);
    bucket.at = at;
    buckets.set(key, bucket);
    if (buckets.size > MOST_BUCKETS) {
      for (const [other, { fullAt }] of buckets) if (at > fullAt) buckets.delete(other);
    }
    bucket.fullAt = at + (most / perSecond) * 1_000;
    if (bucket.tokens < 1) return (1 - bucket.tokens) / perSecond;
    bucket.tokens--;
    return 0;
  }

  return {
    take,
    giveBack(key) {
      const bucket = buckets.get(key);
      if (bucket !== undefined) bucket.tokens++;
    },
  };
}
