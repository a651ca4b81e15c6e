import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { ServiceColumn } from "../../feature_engineering/plan/service-columns.ts";
import { readServiceProfile, type ServiceProfile } from "../../feature_engineering/profiles/value-profile.ts";
import { type FittedState, readFittedState } from "../../feature_engineering/transforms/fitted-state.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import { type LoadedModel, loadModelFolder } from "./load-model-folder.ts";
import { modelError } from "./model-errors.ts";
import { compileOutput, type PredictionRow } from "./model-output.ts";
import type { ModelAnswer, PreparedModel } from "./model-runner.ts";
import type { ModelSource, ModelVersion } from "./model-source.ts";

/** A version of a model that is loaded, warm, and known to fit its feature service. */
export interface ServedModel {
  readonly version: ModelVersion & { readonly etag: string };
  /** What a thread can load the model from, too; null if it is no file, or another server predicts. */
  readonly folder: string | null;
  readonly loaded: LoadedModel;
  /** The service's columns, in their order. */
  readonly columns: readonly ServiceColumn[];
  /** Bound to these columns. */
  readonly prepared: PreparedModel;
  /** What the service's transforms learned from the training set of this version. */
  readonly fitted: FittedState | null;
  /** How the features of its training set were distributed, if its `millrace.json` says so. */
  readonly profile: ServiceProfile | null;
  readonly toPrediction: (answer: ModelAnswer) => PredictionRow;
}

/**
 * Loads a version, warms it up, and checks that it fits: its inputs against the service's columns, its `millrace.json`
 * against the service's hash and fitted transforms, its answers against the declared output.
 *
 * @throws `MODEL_…`, `MODEL_SERVICE_MISMATCH`, `FITTED_STATE_MISMATCH`, `PROFILE_INVALID`, `MODEL_OUTPUT_MISMATCH`
 */
export async function loadServedModel(
  model: ModelMeta,
  service: ServiceRuntime,
  source: ModelSource,
  version: ModelVersion,
): Promise<ServedModel> {
  const { folder, etag } = await source.fetch(version);
  const scoring = source.scoring?.(version);
  const loaded = folder === null ? await source.open!(version) : await loadModelFolder(folder, scoring ?? {});
  try {
    // Whoever wrote to the folder meanwhile made another version of it.
    await source.fetch(version);
    const fitted = readFitted(model, service, loaded);
    if (loaded.flavor === "python_function") checkTypes(model, service, loaded);
    const prepared = prepare(model, service, loaded);
    const toPrediction = compileOutput(model);
    await tryOut(model, service, prepared, toPrediction);
    return {
      version: { ...version, etag },
      folder: scoring === undefined ? folder : null,
      loaded,
      columns: service.row.columns,
      prepared,
      fitted,
      profile: readServiceProfile(loaded.millrace),
      toPrediction,
    };
  } catch (error) {
    await loaded.runner.close();
    throw error;
  }
}

function readFitted(model: ModelMeta, service: ServiceRuntime, loaded: LoadedModel): FittedState | null {
  const { fits } = service.row;
  if (loaded.millrace !== null) {
    return readFittedState(loaded.millrace, { name: service.service.name, hash: service.hash, fits });
  }
  if (fits.length === 0) return null;
  const features = [...new Set(fits.map((fit) => fit.feature))];
  throw modelError(
    "MODEL_SERVICE_MISMATCH",
    `Model '${model.name}' has no millrace.json, and service '${service.service.name}' has transforms that are fitted (${features.join(", ")}): without what they learned its rows cannot be made. Log the training set's millrace.json with the model.`,
    { details: { model: model.name, service: service.service.name, features } },
  );
}

/**
 * Of a model that another server has: its signature's types against the service's, since a made-up row tells nothing
 * where a server refuses values for reasons of its own.
 */
function checkTypes(model: ModelMeta, service: ServiceRuntime, loaded: LoadedModel): void {
  const types = new Map(service.row.columns.map(({ name, type }) => [name, type.kind]));
  const isText = (kind: string): boolean => kind === "string" || kind === "one_of";
  const wrong = (loaded.runner.inputs ?? []).filter(({ name, type }) => {
    const kind = types.get(name);
    if (kind === undefined || type === "any") return false;
    return kind === "list" || (type === "string" || type === "BYTES") !== isText(kind);
  });
  if (wrong.length === 0) return;
  const named = wrong.map(({ name, type }) => `${name} (${type}, and the service has ${types.get(name)})`).join(", ");
  throw modelError(
    "MODEL_SERVICE_MISMATCH",
    `Model '${model.name}' does not fit service '${service.service.name}': of other types are ${named}.`,
    { details: { model: model.name, service: service.service.name, columns: wrong.map(({ name }) => name) } },
  );
}

function prepare(model: ModelMeta, service: ServiceRuntime, loaded: LoadedModel): PreparedModel {
  try {
    return loaded.runner.prepare(service.row.columns.map((column) => column.name));
  } catch (error) {
    throw doesNotFit(model, service, error);
  }
}

/** One row of plain values of the service's types, so that a column of a wrong type shows now and not in a request. */
async function tryOut(
  model: ModelMeta,
  service: ServiceRuntime,
  prepared: PreparedModel,
  toPrediction: (answer: ModelAnswer) => PredictionRow,
): Promise<void> {
  let answers: readonly ModelAnswer[];
  try {
    answers = await prepared.predict([service.row.columns.map((column) => plainValue(column.type))]);
  } catch (error) {
    // The model itself may refuse a made-up value; a wrong type it may not have.
    if (isMillraceError(error) && error.code === "MODEL_RUN_FAILED") return;
    throw doesNotFit(model, service, error);
  }
  toPrediction(answers[0]!);
}

function plainValue(type: ColumnTypeSpec): Value {
  switch (type.kind) {
    case "string":
      return "";
    case "one_of":
      return type.values?.[0] ?? "";
    case "int64":
      return 0n;
    case "bool":
      return false;
    case "list":
      return [];
    default:
      return 0;
  }
}

function doesNotFit(model: ModelMeta, service: ServiceRuntime, cause: unknown): MillraceError | unknown {
  if (!isMillraceError(cause) || !["SIGNATURE_MISMATCH", "MODEL_INPUT_INVALID"].includes(cause.code)) return cause;
  return modelError(
    "MODEL_SERVICE_MISMATCH",
    `Model '${model.name}' does not fit service '${service.service.name}': ${cause.message}`,
    { cause, details: { model: model.name, service: service.service.name, ...cause.details } },
  );
}
