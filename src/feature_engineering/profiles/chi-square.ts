import { totalOf } from "./population-stability-index.ts";

/**
 * Pearson's chi-square test that two histograms with the same bins come from one distribution. Bins in which fewer than
 * five events are expected in either are taken together first, as the approximation asks (Cochran).
 */
export function chiSquare(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): { readonly statistic: number; readonly freedom: number; readonly p: number } {
  const n = totalOf(a);
  const m = totalOf(b);
  if (n === 0 || m === 0) return { statistic: 0, freedom: 0, p: 1 };
  const smaller = Math.min(n, m) / (n + m);
  let statistic = 0;
  let bins = 0;
  let restA = 0;
  let restB = 0;
  const add = (inA: number, inB: number): void => {
    const both = inA + inB;
    if (both === 0) return;
    const expectedA = (both * n) / (n + m);
    const expectedB = (both * m) / (n + m);
    statistic += (inA - expectedA) ** 2 / expectedA + (inB - expectedB) ** 2 / expectedB;
    bins++;
  };
  for (let i = 0; i < a.length; i++) {
    if ((a[i]! + b[i]!) * smaller >= 5) add(a[i]!, b[i]!);
    else {
      restA += a[i]!;
      restB += b[i]!;
    }
  }
  add(restA, restB);
  const freedom = Math.max(0, bins - 1);
  return { statistic, freedom, p: freedom === 0 ? 1 : upperGamma(freedom / 2, statistic / 2) };
}

/** The regularized upper incomplete gamma function Q(a, x): by its series below a + 1, else by Lentz's continued fraction. */
export function upperGamma(a: number, x: number): number {
  if (x <= 0) return 1;
  const factor = Math.exp(-x + a * Math.log(x) - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let k = 1; k < 1_000 && term > sum * 1e-16; k++) {
      term *= x / (a + k);
      sum += term;
    }
    return Math.max(0, 1 - sum * factor);
  }
  let b = x + 1 - a;
  let c = 1e300;
  let d = 1 / b;
  let h = d;
  for (let k = 1; k < 1_000; k++) {
    const an = -k * (k - a);
    b += 2;
    d = 1 / nonZero(an * d + b);
    c = nonZero(b + an / c);
    const step = d * c;
    h *= step;
    if (Math.abs(step - 1) < 1e-15) break;
  }
  return Math.min(1, factor * h);
}

function nonZero(x: number): number {
  return Math.abs(x) < 1e-300 ? 1e-300 : x;
}

/** Lanczos' approximation with g = 7 and nine coefficients, for x of at least 1/2. */
function logGamma(x: number): number {
  const coefficients = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
    -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
  ];
  let sum = 0.9999999999998099;
  for (let i = 0; i < coefficients.length; i++) sum += coefficients[i]! / (x + i);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}
