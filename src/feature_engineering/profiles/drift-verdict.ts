import { chiSquare } from "./chi-square.ts";
import { jensenShannon } from "./jensen-shannon.ts";
import { kolmogorovSmirnov } from "./kolmogorov-smirnov.ts";
import { populationStabilityIndex, totalOf } from "./population-stability-index.ts";
import type { ValueProfile } from "./value-profile.ts";

/** What a window counted, in the bins of the profile that it is compared with. */
export interface WindowCounts {
  readonly bins: ArrayLike<number>;
  readonly nulls: number;
  /** Values below the profile's smallest or above its largest. */
  readonly outOfRange: number;
}

export interface DriftVerdict {
  /** Rows of the window, nulls included. */
  readonly rows: number;
  readonly nullRatio: number;
  /** Of the values. */
  readonly outOfRangeRatio: number;
  readonly psi: number;
  readonly jensenShannon: number;
  readonly chiSquare: { readonly statistic: number; readonly p: number };
  /** Null for categories: they have no order. */
  readonly ks: { readonly statistic: number; readonly p: number } | null;
  /** What differs by more than the floors, and not by chance. */
  readonly reasons: readonly ("distribution" | "nulls" | "range")[];
}

export interface DriftThresholds {
  /** Rows without which nothing is said. */
  readonly minRows: number;
  /** The chance of a false alarm of any of the columns that are looked at together, before the floors. */
  readonly significance: number;
  /** Of the PSI, above what it is expected to be by chance. */
  readonly psi: number;
  /** Of the difference of the null ratios. */
  readonly nullRatio: number;
  readonly outOfRangeRatio: number;
}

export const DRIFT_THRESHOLDS: DriftThresholds = {
  minRows: 100,
  significance: 1e-3,
  psi: 0.2,
  nullRatio: 0.05,
  outOfRangeRatio: 0.02,
};

/** The tests of one column. */
const TESTS = 4;
/** What the profile's shares were counted from at most: see `profileBuilder`. */
const MOST_KNOWN = 20_000;

/**
 * Compares a window with a profile. A difference counts if it is significant, with `significance` divided by the number
 * of tests and of `columns` (Bonferroni), and if it is large, so that a large window is not alarmed by trifles.
 */
export function driftVerdict(
  profile: ValueProfile,
  counts: WindowCounts,
  columns: number,
  thresholds: DriftThresholds = DRIFT_THRESHOLDS,
): DriftVerdict {
  const values = totalOf(counts.bins);
  const rows = values + counts.nulls;
  const knownValues = profile.rows - profile.nulls;
  const known = Math.min(knownValues, MOST_KNOWN);
  const expected = profile.shares.map((share) => share * known);
  const psi = populationStabilityIndex(counts.bins, expected);
  const chi = chiSquare(counts.bins, expected);
  const ks = profile.kind === "number" ? kolmogorovSmirnov(counts.bins, expected) : null;
  const nullRatio = rows === 0 ? 0 : counts.nulls / rows;
  const outOfRangeRatio = values === 0 ? 0 : counts.outOfRange / values;

  const level = thresholds.significance / (TESTS * Math.max(1, columns));
  const reasons: DriftVerdict["reasons"][number][] = [];
  if (rows >= thresholds.minRows && profile.rows >= thresholds.minRows) {
    const byChance = known === 0 || values === 0 ? 0 : (expected.length - 1) * (1 / values + 1 / known);
    if (values >= thresholds.minRows && known >= thresholds.minRows && psi - byChance >= thresholds.psi) {
      if (Math.min(chi.p, ks?.p ?? 1) < level) reasons.push("distribution");
    }
    const before = profile.nulls / profile.rows;
    if (Math.abs(nullRatio - before) >= thresholds.nullRatio) {
      const nulls = chiSquare([counts.nulls, values], [profile.nulls, knownValues]);
      if (nulls.p < level) reasons.push("nulls");
    }
    if (outOfRangeRatio >= thresholds.outOfRangeRatio && counts.outOfRange >= 5 && values >= thresholds.minRows) {
      // As many as the two extremes of the profile lead one to expect.
      const beyond = Math.min(2, knownValues);
      const range = chiSquare([counts.outOfRange, values - counts.outOfRange], [beyond, knownValues - beyond]);
      if (range.p < level) reasons.push("range");
    }
  }
  return {
    rows,
    nullRatio,
    outOfRangeRatio,
    psi,
    jensenShannon: jensenShannon(counts.bins, expected),
    chiSquare: { statistic: chi.statistic, p: chi.p },
    ks,
    reasons,
  };
}
