import { totalOf } from "./population-stability-index.ts";

/**
 * The two-sample Kolmogorov–Smirnov test over ordered bins: the largest difference of the cumulated shares at the edges,
 * which is at most that of the values themselves, so `p` is on the safe side. `p` is asymptotic (Kolmogorov's
 * distribution of √(nm/(n+m)) D).
 */
export function kolmogorovSmirnov(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): { readonly statistic: number; readonly p: number } {
  const n = totalOf(a);
  const m = totalOf(b);
  if (n === 0 || m === 0) return { statistic: 0, p: 1 };
  let ofA = 0;
  let ofB = 0;
  let statistic = 0;
  for (let i = 0; i < a.length - 1; i++) {
    ofA += a[i]!;
    ofB += b[i]!;
    statistic = Math.max(statistic, Math.abs(ofA / n - ofB / m));
  }
  return { statistic, p: kolmogorovTail(Math.sqrt((n * m) / (n + m)) * statistic) };
}

/** P(K > x) of Kolmogorov's distribution. */
export function kolmogorovTail(x: number): number {
  if (x <= 0) return 1;
  if (x < 1) {
    // The other form of the theta function, which converges fast here.
    let sum = 0;
    for (let k = 1; k <= 20; k++) sum += Math.exp((-((2 * k - 1) ** 2) * Math.PI ** 2) / (8 * x * x));
    return Math.max(0, 1 - (Math.sqrt(2 * Math.PI) / x) * sum);
  }
  let sum = 0;
  for (let k = 1; k <= 20; k++) sum += (k % 2 === 1 ? 1 : -1) * Math.exp(-2 * k * k * x * x);
  return Math.min(1, Math.max(0, 2 * sum));
}
