import { totalOf } from "./population-stability-index.ts";

/** The Jensen–Shannon divergence of two histograms with the same bins, in bits: 0 for equal shares, 1 for disjoint ones. */
export function jensenShannon(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const ofA = totalOf(a);
  const ofB = totalOf(b);
  if (ofA === 0 || ofB === 0) return 0;
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const p = a[i]! / ofA;
    const q = b[i]! / ofB;
    const middle = (p + q) / 2;
    if (p > 0) sum += p * Math.log2(p / middle);
    if (q > 0) sum += q * Math.log2(q / middle);
  }
  return Math.min(1, Math.max(0, sum / 2));
}
