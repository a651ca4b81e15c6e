/**
 * Upper bounds of histogram buckets from `from` to `to`, both included, `perDecade` of them for each factor of ten,
 * rounded to four significant digits. With 40 per decade neighbours are 6% apart, and a quantile that Prometheus
 * interpolates is within 3% of the true one, also where a distribution ends abruptly inside a bucket. Of a single value,
 * only the bucket's width bounds the error.
 */
export function logarithmicBuckets(perDecade: number, from: number, to: number): readonly number[] {
  const count = Math.round(Math.log10(to / from) * perDecade);
  return Array.from({ length: count + 1 }, (_, k) => Number((from * 10 ** (k / perDecade)).toPrecision(4)));
}
