import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { CategoryProfile, NumberProfile, ServiceProfile, ValueProfile } from "./value-profile.ts";

/** Collects the profile of one column, value by value. */
export interface ProfileBuilder {
  add(value: Value): void;
  finish(): ValueProfile;
}

/** Values of a column that are kept for its quantiles; with more, each has the same chance to be among them. */
const SAMPLE = 20_000;
/** Rows that a training set's profile is made of, at most. */
const PROFILE_ROWS = 50_000;
const BINS = 10;
/** Texts that are told apart while counting: beyond them, new ones are others. */
const MAX_TEXTS = 10_000;
const TOP = 20;

/** Null for types that have no profile: lists and timestamps. */
export function profileBuilder(type: ColumnTypeSpec): ProfileBuilder | null {
  switch (type.kind) {
    case "int32":
    case "int64":
    case "float64":
      return numberBuilder();
    case "string":
    case "one_of":
    case "bool":
      return categoryBuilder();
    default:
      return null;
  }
}

/** Collects the profiles of rows. */
export function serviceProfileBuilder(columns: readonly { readonly name: string; readonly type: ColumnTypeSpec }[]): {
  /** `value` gives that of a column. */
  add(value: (column: number) => Value): void;
  finish(): ServiceProfile;
} {
  const builders = columns.map(({ type }) => profileBuilder(type));
  return {
    add(value) {
      for (let i = 0; i < builders.length; i++) builders[i]?.add(value(i));
    },
    finish() {
      const entries = columns.flatMap(({ name }, i) => {
        const builder = builders[i]!;
        return builder === null ? [] : [[name, builder.finish()] as const];
      });
      return { version: 1, features: Object.fromEntries(entries) };
    },
  };
}

/** A training set's profile is made of every k-th row from the first on: k, of so many rows. */
export function profileStep(rows: number): number {
  return Math.max(1, Math.ceil(rows / PROFILE_ROWS));
}

function numberBuilder(): ProfileBuilder {
  let rows = 0;
  let nulls = 0;
  let min = Infinity;
  let max = -Infinity;
  const sample: number[] = [];
  // The same rows give the same profile: a fixed seed, and no source of randomness.
  let state = 0x9e3779b9;
  const below = (n: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.floor(((state >>> 0) / 2 ** 32) * n);
  };
  return {
    add(value) {
      rows++;
      const number = typeof value === "bigint" ? Number(value) : value;
      if (typeof number !== "number" || !Number.isFinite(number)) {
        nulls++;
        return;
      }
      if (number < min) min = number;
      if (number > max) max = number;
      if (sample.length < SAMPLE) {
        sample.push(number);
        return;
      }
      const at = below(rows - nulls);
      if (at < SAMPLE) sample[at] = number;
    },
    finish(): NumberProfile {
      if (sample.length === 0) return { kind: "number", rows, nulls, min: null, max: null, edges: [], shares: [0] };
      const sorted = Float64Array.from(sample).sort();
      const edges: number[] = [];
      for (let i = 1; i < BINS; i++) {
        const edge = sorted[Math.ceil((i / BINS) * sorted.length) - 1]!;
        // An edge at the largest value would leave an empty bin above it.
        if (edge < max && (edges.length === 0 || edge > edges.at(-1)!)) edges.push(edge);
      }
      const counts = new Array<number>(edges.length + 1).fill(0);
      for (const number of sorted) counts[numberBin(edges, number)]!++;
      return { kind: "number", rows, nulls, min, max, edges, shares: counts.map((n) => round(n / sorted.length)) };
    },
  };
}

function categoryBuilder(): ProfileBuilder {
  let rows = 0;
  let nulls = 0;
  const counts = new Map<string, number>();
  return {
    add(value) {
      rows++;
      if (value === null) {
        nulls++;
        return;
      }
      const text = String(value);
      const count = counts.get(text);
      if (count !== undefined) counts.set(text, count + 1);
      else if (counts.size < MAX_TEXTS) counts.set(text, 1);
    },
    finish(): CategoryProfile {
      const top = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, TOP);
      const values = rows - nulls;
      const rest = values - top.reduce((sum, [, count]) => sum + count, 0);
      const share = (count: number): number => (values === 0 ? 0 : round(count / values));
      return {
        kind: "category",
        rows,
        nulls,
        categories: top.map(([text]) => text),
        shares: [...top.map(([, count]) => share(count)), share(rest)],
      };
    },
  };
}

/** The bin of a number: see `NumberProfile.edges`. */
export function numberBin(edges: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (edges[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Six digits are more than a sample of 20,000 tells. */
function round(share: number): number {
  return Math.round(share * 1e6) / 1e6;
}
