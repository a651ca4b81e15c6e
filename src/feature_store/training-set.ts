import { millraceError } from "../definitions/errors.ts";
import type { ColumnTypeSpec, Value } from "../definitions/value.ts";
import { serviceProfileBuilder } from "../feature_engineering/profiles/profile-builder.ts";
import type { ServiceProfile } from "../feature_engineering/profiles/value-profile.ts";
import type { FittedState } from "../feature_engineering/transforms/fitted-state.ts";
import type { FeatureStore } from "./feature-store.ts";
import type { Knowledge } from "./historical-reader.ts";
import { readLabels } from "./labels.ts";
import { readTime } from "./lookup.ts";
import type { ServiceRuntime } from "./service-runtime.ts";

/** The column of an entity frame that holds each row's t. */
export const EVENT_TIMESTAMP = "event_timestamp";

export interface TrainingSetRequest {
  /** Rows with the service's lookup columns, `event_timestamp`, and whatever else is to be carried along (labels). */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly knowledge?: Knowledge;
  /** Apply what was fitted before, instead of fitting on these rows. */
  readonly fitted?: FittedState;
}

/** The content of `millrace.json`, which travels with the model. */
export interface TrainingManifest extends FittedState {
  /** The columns that the model reads, in order. */
  readonly features: readonly string[];
  /** The lookup's keys. */
  readonly keys: readonly string[];
  readonly knowledge: Knowledge;
  readonly rows: number;
  /** How the features were distributed, which what is served is compared with. */
  readonly profile?: ServiceProfile;
}

export interface TrainingSet {
  /** The frame's own columns first, then the features. A frame column whose name a feature has is `lookup_<name>`. */
  readonly columns: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  readonly rows: readonly (readonly Value[])[];
  readonly manifest: TrainingManifest;
}

/**
 * The rows of a frame with their features as they were at each row's `event_timestamp`: point-in-time correct.
 * @throws `EVENT_TIMESTAMP_MISSING`, `LOOKUP_…`, `LABEL_INVALID` (naming the row), `LABEL_MISSING`, `SERVICE_UNKNOWN`
 */
export async function createTrainingSet(
  store: FeatureStore,
  serviceName: string,
  request: TrainingSetRequest,
): Promise<TrainingSet> {
  const runtime = store.service(serviceName);
  const { lookup } = runtime.service;
  const lookups = request.rows.map((row, index) => {
    const time = readTime(row[EVENT_TIMESTAMP]);
    if (time === null) {
      throw millraceError(
        "EVENT_TIMESTAMP_MISSING",
        `Row ${index} has no readable ${EVENT_TIMESTAMP}: each row needs the moment t to look features up at, as ISO 8601 with a zone or epoch milliseconds.`,
        { details: { row: index } },
      );
    }
    const labels = request.fitted === undefined ? readLabels(runtime.row.labels, row, index) : [];
    try {
      return {
        lookup: runtime.readLookup(Object.fromEntries(lookup.map(({ name }) => [name, row[name]]))),
        time,
        labels,
      };
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error)) throw error;
      throw millraceError(String(error.code), `Row ${index}: ${error.message}`, {
        cause: error,
        details: { row: index },
      });
    }
  });
  const knowledge = request.knowledge ?? "event_time";
  const features = await store.getHistoricalFeatures(serviceName, {
    rows: lookups,
    knowledge,
    ...(request.fitted === undefined ? {} : { fitted: request.fitted }),
  });
  const profile = serviceProfileBuilder(features.columns);
  for (const row of features.rows) profile.add((column) => row[column]!);
  const featureNames = new Set(features.columns.map((column) => column.name));
  const frameColumns = frameTypes(request.rows, new Map(lookup.map((column) => [column.name, column.type])));
  const carried = frameColumns.map(({ name, type, read }) => ({
    name: featureNames.has(name) ? `lookup_${name}` : name,
    type,
    read,
  }));
  return {
    columns: [
      ...carried.map(({ name, type }) => ({ name, type })),
      ...features.columns.map(({ name, type }) => ({ name, type })),
    ],
    rows: request.rows.map((row, i) => [...carried.map(({ read }) => read(row)), ...features.rows[i]!]),
    manifest: {
      ...trainingManifest(runtime, features.fitted, knowledge, request.rows.length),
      profile: profile.finish(),
    },
  };
}

/** What travels with a model that is trained on such a set. */
export function trainingManifest(
  { row, service }: ServiceRuntime,
  fitted: FittedState,
  knowledge: Knowledge,
  rows: number,
): TrainingManifest {
  return {
    ...fitted,
    features: row.columns.map((column) => column.name),
    keys: service.lookup.filter((column) => column.role === "key").map((column) => column.name),
    knowledge,
    rows,
  };
}

interface FrameColumn {
  readonly name: string;
  readonly type: ColumnTypeSpec;
  readonly read: (row: Readonly<Record<string, unknown>>) => Value;
}

/** Lookup columns have their declared types, `event_timestamp` is a timestamp, others what their values are. */
function frameTypes(
  rows: readonly Readonly<Record<string, unknown>>[],
  lookup: ReadonlyMap<string, ColumnTypeSpec>,
): FrameColumn[] {
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  return [...names].map((name): FrameColumn => {
    const known = lookup.get(name);
    const kind = name === EVENT_TIMESTAMP ? "timestamp" : (known?.kind ?? inferKind(rows, name));
    const type: ColumnTypeSpec = { kind: kind === "list" ? "string" : kind, nullable: true };
    return { name, type, read: (row) => carry(row[name], type) };
  });
}

function inferKind(rows: readonly Readonly<Record<string, unknown>>[], name: string): ColumnTypeSpec["kind"] {
  const kinds = new Set(
    rows
      .map((row) => row[name])
      .filter((value) => value !== null && value !== undefined)
      .map((value) => typeof value),
  );
  if (kinds.size !== 1) return "string";
  const [kind] = kinds;
  return kind === "number" ? "float64" : kind === "boolean" ? "bool" : kind === "bigint" ? "int64" : "string";
}

function carry(value: unknown, type: ColumnTypeSpec): Value {
  if (value === null || value === undefined) return null;
  switch (type.kind) {
    case "timestamp":
      return readTime(value);
    case "int64":
      return typeof value === "bigint" ? value : BigInt(String(value));
    case "float64":
    case "int32":
      return Number(value);
    case "bool":
      return value === true;
    default:
      return typeof value === "string" ? value : String(value);
  }
}
