import { logarithmicBuckets } from "../logarithmic-buckets.ts";

/** For P50, P95 and P99 of predictions: 211 bounds, 6% apart from 0.1 ms to 10 s, and 26% from 10 µs. */
export const PREDICTION_BUCKETS: readonly number[] = [
  ...logarithmicBuckets(10, 1e-5, 1e-4).slice(0, -1),
  ...logarithmicBuckets(40, 1e-4, 10),
];
/** For the parts of a prediction, which are microseconds: 73 bounds, 10 µs to 10 s. */
export const STAGE_BUCKETS: readonly number[] = logarithmicBuckets(12, 1e-5, 10);
/** For work on batches: 37 bounds, 0.1 ms to 100 s. */
export const BATCH_BUCKETS: readonly number[] = logarithmicBuckets(6, 1e-4, 100);
/** For what happens seldom or is looked at by its order of magnitude: 16 bounds, 1 ms to 100 s. */
export const COARSE_BUCKETS: readonly number[] = logarithmicBuckets(3, 1e-3, 100);
/** For numbers of messages: 1, 2.154, 4.642, 10 … 10,000 would be odd, so the usual 1, 2, 5. */
export const COUNT_BUCKETS: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];
