import { millraceError } from "../../definitions/errors.ts";

/** How the numbers of a column were distributed. */
export interface NumberProfile {
  readonly kind: "number";
  /** Rows, nulls included. */
  readonly rows: number;
  readonly nulls: number;
  /** Of all values; null if there was none. */
  readonly min: number | null;
  readonly max: number | null;
  /** Ascending, at most nine: bin `i` holds what is above edge `i - 1` and at most edge `i`; the last one the rest. */
  readonly edges: readonly number[];
  /** Per bin the share of the values; one more than edges, all 0 if there was no value. */
  readonly shares: readonly number[];
}

/** How often the most frequent values of a column were. */
export interface CategoryProfile {
  readonly kind: "category";
  readonly rows: number;
  readonly nulls: number;
  /** The most frequent first, at most twenty; of booleans `true` and `false`. */
  readonly categories: readonly string[];
  /** Per category its share of the values, then that of all others. */
  readonly shares: readonly number[];
}

export type ValueProfile = NumberProfile | CategoryProfile;

/** The distributions of a training set's features, as `profile` of `millrace.json`. */
export interface ServiceProfile {
  /** Of this form. */
  readonly version: 1;
  /** By the feature's name. Lists and timestamps have none. */
  readonly features: Readonly<Record<string, ValueProfile>>;
}

/**
 * The profile of a parsed `millrace.json`; null if it has none, or one of a later form.
 * @throws `PROFILE_INVALID` naming the feature
 */
export function readServiceProfile(manifest: unknown): ServiceProfile | null {
  if (!isRecord(manifest) || manifest.profile === undefined || manifest.profile === null) return null;
  const { profile } = manifest;
  if (!isRecord(profile) || !Number.isInteger(profile.version)) throw invalid("it has no version");
  if (profile.version !== 1) return null;
  if (!isRecord(profile.features)) throw invalid("it has no features");
  for (const [name, value] of Object.entries(profile.features)) {
    if (!isValueProfile(value)) throw invalid(`that of the feature '${name}' is malformed`);
  }
  // Every part that is read was checked above.
  return profile as unknown as ServiceProfile;
}

function isValueProfile(value: unknown): boolean {
  if (!isRecord(value) || !isCount(value.rows) || !isCount(value.nulls) || value.nulls > value.rows) return false;
  const { kind, shares } = value;
  if (!Array.isArray(shares) || !shares.every((share) => typeof share === "number" && share >= 0 && share <= 1)) {
    return false;
  }
  if (kind === "category") {
    const { categories } = value;
    if (!Array.isArray(categories) || shares.length !== categories.length + 1) return false;
    return categories.every((category) => typeof category === "string");
  }
  const { edges, min, max } = value;
  if (kind !== "number" || !Array.isArray(edges) || shares.length !== edges.length + 1) return false;
  if (!edges.every((edge, i) => Number.isFinite(edge) && (i === 0 || edge > edges[i - 1]))) return false;
  return (min === null && max === null) || (Number.isFinite(min) && Number.isFinite(max));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(why: string): Error {
  return millraceError(
    "PROFILE_INVALID",
    `The profile of millrace.json cannot be read: ${why}. Make the training set again, or take "profile" out of the file: then the first rows that are served are what later ones are compared with.`,
  );
}
