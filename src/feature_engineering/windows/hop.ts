/** The tile sizes: 1 s, 5 s, 1 m, 5 m, 1 h, 1 d. Each divides the next, and all are aligned to the UTC epoch. */
export const hops: readonly number[] = [1_000, 5_000, 60_000, 300_000, 3_600_000, 86_400_000];

/** The hop of a window in milliseconds: the largest tile size that is at most a twelfth of it. */
export function hopOf(windowMs: number): number {
  let hop = hops[0]!;
  for (const candidate of hops) if (candidate <= windowMs / 12) hop = candidate;
  return hop;
}

/** The start of the tile that holds `time`; epoch milliseconds, also before 1970. */
export function floorTo(time: number, hopMs: number): number {
  return Math.floor(time / hopMs) * hopMs;
}

/** The first moment that a window of `windowMs` covers when read at `time`. */
export function windowStart(time: number, windowMs: number): number {
  return floorTo(time - windowMs, hopOf(windowMs));
}
