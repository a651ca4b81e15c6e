/**
 * The population stability index of two histograms with the same bins, Σ (pᵢ − qᵢ) ln(pᵢ / qᵢ), with half an event added
 * to each bin so that empty ones have a share. Without a difference it is about (bins − 1) (1/n + 1/m) by chance alone.
 */
export function populationStabilityIndex(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const bins = a.length;
  const ofA = totalOf(a) + bins / 2;
  const ofB = totalOf(b) + bins / 2;
  let psi = 0;
  for (let i = 0; i < bins; i++) {
    const p = (a[i]! + 0.5) / ofA;
    const q = (b[i]! + 0.5) / ofB;
    psi += (p - q) * Math.log(p / q);
  }
  return psi;
}

export function totalOf(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  return total;
}
