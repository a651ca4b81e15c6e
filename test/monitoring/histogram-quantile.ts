/**
 * Prometheus' `histogram_quantile` on cumulative counts (promql/quantile.go, `bucketQuantile`): linear within the bucket
 * that holds the rank, from 0 in the first one; the largest finite bound if the rank lies above it.
 */
export function histogramQuantile(
  q: number,
  buckets: readonly { readonly le: number; readonly count: number }[],
): number {
  const rank = q * buckets.at(-1)!.count;
  const at = buckets.findIndex((bucket) => bucket.count >= rank);
  const { le, count } = buckets[at]!;
  if (!Number.isFinite(le)) return buckets.at(-2)!.le;
  const below = at === 0 ? { le: 0, count: 0 } : buckets[at - 1]!;
  return below.le + (le - below.le) * ((rank - below.count) / (count - below.count));
}
