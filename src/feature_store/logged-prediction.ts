import type { Value } from "../definitions/value.ts";
import type { FeatureStatus } from "../feature_engineering/windows/read-features.ts";

/** What the prediction log keeps of one row. */
export interface LoggedPrediction {
  readonly modelVersion: string;
  readonly service: string;
  readonly serviceHash: string;
  /** t, epoch milliseconds. */
  readonly asOf: number;
  /** In the order of `service.lookup`. */
  readonly lookup: readonly Value[];
  /** One per input slot: what was read, before transforms. */
  readonly inputs: readonly Value[];
  readonly statuses: readonly FeatureStatus[];
  /** What the model answered, by output. Records of earlier versions of Millrace lack these three. */
  readonly outputs?: Readonly<Record<string, Value>>;
  /** The share of rows that was kept. */
  readonly sampleRate?: number;
  /** The id that the answer had, a colon, and the row's number. */
  readonly id?: string;
  /** Input slots whose values were left out; absent: none. */
  readonly redacted?: readonly number[];
  /** Per lookup of the service; null if its value changed before its positions were known, so that it cannot be checked. */
  readonly views: readonly LoggedRead[] | null;
}

export interface LoggedRead {
  readonly keyspace: string;
  /** Exactly the entity's events up to these offsets were applied, by partition; null for a key that is null. */
  readonly positions: readonly (readonly [partitionId: number, offset: number])[] | null;
}

/** The row as JSON: an int64 is `{"$int64": "…"}`. */
export function encodeLoggedPrediction(prediction: LoggedPrediction): string {
  const { lookup, inputs, outputs } = prediction;
  // A replacer costs many times the writing.
  if (![lookup, inputs, Object.values(outputs ?? {})].some(hasInt64)) return JSON.stringify(prediction);
  return JSON.stringify(prediction, (_name, value: unknown) =>
    typeof value === "bigint" ? { $int64: String(value) } : value,
  );
}

function hasInt64(values: readonly Value[]): boolean {
  return values.some((value) => typeof value === "bigint" || (Array.isArray(value) && hasInt64(value)));
}

export function decodeLoggedPrediction(json: string): LoggedPrediction {
  // A reviver costs many times the parsing.
  if (!json.includes('"$int64"')) return JSON.parse(json) as LoggedPrediction;
  return JSON.parse(json, (_name, value: unknown) =>
    typeof value === "object" && value !== null && "$int64" in value ? BigInt(String(value.$int64)) : value,
  ) as LoggedPrediction;
}
