/**
 * Adds x to an expansion in place, exactly. An expansion is a list of nonzero doubles of increasing magnitude whose
 * bits do not overlap; its value is their exact sum. |sum| stays below 2^1023.
 *
 * Source: Shewchuk 1997, GROW-EXPANSION with zero elimination; Python's `math.fsum`.
 */
export function growExpansion(partials: number[], x: number): void {
  let carried = x;
  let count = 0;
  for (let index = 0; index < partials.length; index++) {
    const y = partials[index]!;
    const sum = carried + y;
    const b = sum - carried;
    const error = carried - (sum - b) + (y - b);
    if (error !== 0) partials[count++] = error;
    carried = sum;
  }
  partials.length = count;
  if (carried !== 0) partials.push(carried);
}

/** The double nearest to an expansion, ties to even. Source: Python's `math.fsum`. */
export function roundExpansion(partials: readonly number[]): number {
  let index = partials.length - 1;
  if (index < 0) return 0;
  let sum = partials[index]!;
  let error = 0;
  while (index > 0 && error === 0) {
    const before = sum;
    const y = partials[--index]!;
    sum = before + y;
    error = y - (sum - before);
  }
  // A tie was rounded to even although smaller partials push the value off the middle, in the error's direction.
  if (index > 0 && error !== 0 && error > 0 === partials[index - 1]! > 0) {
    const twice = error * 2;
    const other = sum + twice;
    if (other - sum === twice) sum = other;
  }
  return sum;
}

/** Adds a · b to an expansion exactly, if |a|, |b| < 2^996 and |a · b| is 0 or from 2^−960 to 2^1020. */
export function growExpansionByProduct(partials: number[], a: number, b: number): void {
  // Dekker's product with Veltkamp's splits: a · b = product + error.
  const product = a * b;
  const ca = splitter * a;
  const aHigh = ca - (ca - a);
  const aLow = a - aHigh;
  const cb = splitter * b;
  const bHigh = cb - (cb - b);
  const bLow = b - bHigh;
  const error = aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
  growExpansion(partials, error);
  growExpansion(partials, product);
}

const splitter = 2 ** 27 + 1;
