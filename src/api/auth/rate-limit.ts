/** Takes one from a key's bucket: 0 if it may go on, else the seconds until it may. */
export type RateLimit = (key: string) => number;

/** Buckets that were full again are forgotten above this many. */
const MOST_BUCKETS = 10_000;

/**
 * A token bucket for each key: `perSecond` requests in the long run, up to one second's worth, at least one, at once.
 *
 * @param now monotonic, milliseconds
 */
export function rateLimit(perSecond: number, now: () => number = () => performance.now()): RateLimit {
  const most = Math.max(perSecond, 1);
  const buckets = new Map<string, { tokens: number; at: number }>();
  return (key) => {
    const at = now();
    const bucket = buckets.get(key) ?? { tokens: most, at };
    bucket.tokens = Math.min(most, bucket.tokens + ((at - bucket.at) / 1_000) * perSecond);
    bucket.at = at;
    buckets.set(key, bucket);
    if (buckets.size > MOST_BUCKETS) {
      for (const [other, { at: last }] of buckets) if (at - last > (most / perSecond) * 1_000) buckets.delete(other);
    }
    if (bucket.tokens < 1) return (1 - bucket.tokens) / perSecond;
    bucket.tokens--;
    return 0;
  };
}
