import type { SortedSample } from "./sample.ts";

export type PercentileMethod = "linear" | "averaged_inverted_cdf";

/**
 * A percentile (0 to 100) of a sample that is not empty, rounded as NumPy rounds it. `linear` lies on the line between
 * the two neighbours; `averaged_inverted_cdf` is a value of the sample, or the middle of two where the rank is whole.
 *
 * Source: Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996), types 7 and 2.
 */
export function percentile(sample: SortedSample, percent: number, method: PercentileMethod): number {
  const last = sample.n - 1;
  const q = percent / 100;
  const position = method === "linear" ? last * q : sample.n * q - 1;
  if (position >= last) return sample.at(last);
  if (position < 0) return sample.at(0);
  const below = Math.floor(position);
  const fraction = position - below;
  const weight = method === "linear" ? fraction : fraction === 0 ? 0.5 : 1;
  const a = sample.at(below);
  const b = sample.at(below + 1);
  if (a === b) return a;
  const distance = b - a;
  // Two values of opposite sign near the largest double.
  if (!Number.isFinite(distance)) return a * (1 - weight) + b * weight;
  return weight >= 0.5 ? b - distance * (1 - weight) : a + distance * weight;
}

/** The middle value, or the mean of the two in the middle, of a sample that is not empty. */
export function median(sample: SortedSample): number {
  const upper = sample.at(Math.floor(sample.n / 2));
  if (sample.n % 2 === 1) return upper;
  const lower = sample.at(sample.n / 2 - 1);
  const middle = (lower + upper) / 2;
  return Number.isFinite(middle) ? middle : lower / 2 + upper / 2;
}

/** `count` points from `from` to `to`, both included and evenly spaced, rounded as NumPy rounds them. */
export function evenlySpaced(from: number, to: number, count: number): number[] {
  if (count === 1) return [from];
  const step = (to - from) / (count - 1);
  const points = Array.from({ length: count }, (_, index) =>
    step === 0 ? (index / (count - 1)) * (to - from) + from : index * step + from,
  );
  points[count - 1] = to;
  return points;
}
