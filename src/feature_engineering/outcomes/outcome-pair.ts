/** A prediction and what became of it. */
export interface OutcomePair {
  /** Of a yes or no 1 or 0, a number, or a class. */
  readonly label: number | string;
  /** A probability or a number; of classes the class, or a probability for each in their declared order. */
  readonly answer: number | string | readonly number[];
  /** How many predictions it stands for: 1 / sample rate. */
  readonly weight: number;
}

/** An estimate from a sample of pairs. */
export interface Estimate {
  readonly value: number;
  /** Its standard error; null where none is known. */
  readonly error: number | null;
}

/** What a sum of weights is worth in rows of equal weight (Kish): (Σw)² / Σw². */
export function effectiveRows(weight: number, squares: number): number {
  return squares === 0 ? 0 : (weight * weight) / squares;
}

/** The weighted mean of a value per pair, with its standard error; null of nothing. */
export function weightedMean<P extends Pick<OutcomePair, "weight">>(
  pairs: readonly P[],
  read: (pair: P) => number,
): Estimate | null {
  let weight = 0;
  let squares = 0;
  let sum = 0;
  for (const pair of pairs) {
    weight += pair.weight;
    squares += pair.weight * pair.weight;
    sum += pair.weight * read(pair);
  }
  if (weight === 0) return null;
  const value = sum / weight;
  let spread = 0;
  for (const pair of pairs) spread += pair.weight * (read(pair) - value) ** 2;
  const rows = effectiveRows(weight, squares);
  return { value, error: rows > 1 ? Math.sqrt(spread / weight / (rows - 1)) : null };
}
