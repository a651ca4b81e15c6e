import { parse } from "yaml";
import { readInputExample } from "./input-example.ts";
import { asObject, asText, type DocumentObject, field } from "./model-document.ts";
import { corruptModel, modelError } from "./model-errors.ts";
import { findModelFile, type ModelFolder, openModelFolder, readModelFile } from "./model-folder.ts";
import type { ModelBatch } from "./model-runner.ts";
import { type ModelSignature, readSignature, signatureColumns } from "./model-signature.ts";

/** The flavors that are loaded here, the first that a folder has is taken. */
const NATIVE_FLAVORS = ["xgboost", "lightgbm", "onnx"] as const;
type NativeFlavor = (typeof NATIVE_FLAVORS)[number];
const VERSION_FIELDS: Readonly<Record<NativeFlavor, string>> = {
  xgboost: "xgb_version",
  lightgbm: "lgb_version",
  onnx: "onnx_version",
};

/** What a folder in MLflow model format says, before its model is loaded. */
export interface Mlmodel {
  readonly folder: ModelFolder;
  /** `python_function` only where another server predicts. */
  readonly flavor: NativeFlavor | "python_function";
  /** The model's file, relative to the folder; empty where another server predicts. */
  readonly dataPath: string;
  /** The Python class that was saved, "xgboost.sklearn.XGBClassifier"; null when the flavor does not say. */
  readonly modelClass: string | null;
  readonly signature: ModelSignature | null;
  readonly inputExample: ModelBatch | null;
  /** `millrace.json` of the training set, if it was logged with the model. */
  readonly millrace: Readonly<Record<string, unknown>> | null;
  /** What MLflow recorded about the model; null where it did not. */
  readonly about: {
    readonly modelId: string | null;
    readonly runId: string | null;
    readonly createdAt: string | null;
    readonly mlflowVersion: string | null;
    readonly libraryVersion: string | null;
    /** Free data of the model's author. */
    readonly metadata: unknown;
  };
}

export interface MlmodelLimits {
  /** Default 1 GiB. */
  readonly modelBytes: number;
  /** Of each file beside the model. Default 16 MiB. */
  readonly sideFileBytes: number;
}

export const DEFAULT_MLMODEL_LIMITS: MlmodelLimits = { modelBytes: 1024 ** 3, sideFileBytes: 16 * 1024 ** 2 };

/**
 * Reads the `MLmodel` file of a folder and what belongs to it, except the model itself.
 *
 * `isScoredElsewhere`: another server predicts, so that any flavor will do.
 *
 * @throws MODEL_NOT_FOUND, MODEL_CORRUPT, MODEL_PATH_OUTSIDE, MODEL_TOO_LARGE, MODEL_FLAVOR_UNSUPPORTED
 * @see https://mlflow.org/docs/latest/ml/model/#storage-format
 */
export async function readMlmodel(
  path: string,
  limits: MlmodelLimits = DEFAULT_MLMODEL_LIMITS,
  isScoredElsewhere = false,
): Promise<Mlmodel> {
  const folder = await openModelFolder(path);
  const document = asObject(parseYaml(await readText(folder, "MLmodel", limits)), "MLmodel");
  const flavors = asObject(field(document, "flavors"), "MLmodel.flavors");
  const chosen = isScoredElsewhere ? null : chooseFlavor(flavors);
  const settings = chosen?.settings ?? {};
  const signature = readSignature(field(document, "signature"));
  return {
    folder,
    flavor: chosen?.flavor ?? "python_function",
    dataPath: chosen === null ? "" : asText(field(settings, "data"), `MLmodel.flavors.${chosen.flavor}.data`),
    modelClass: optionalText(field(settings, "model_class")),
    signature,
    inputExample: await findExample(folder, document, signature, limits),
    millrace: await findMillrace(folder, limits),
    about: {
      modelId: optionalText(field(document, "model_id")) ?? optionalText(field(document, "model_uuid")),
      runId: optionalText(field(document, "run_id")),
      createdAt: optionalText(field(document, "utc_time_created")),
      mlflowVersion: optionalText(field(document, "mlflow_version")),
      libraryVersion: chosen === null ? null : optionalText(field(settings, VERSION_FIELDS[chosen.flavor])),
      metadata: field(document, "metadata") ?? null,
    },
  };
}

function optionalText(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

async function readText(folder: ModelFolder, path: string, limits: MlmodelLimits): Promise<string> {
  const bytes = await readModelFile(folder, path, limits.sideFileBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw corruptModel(`${path} is not UTF-8 text`, { cause });
  }
}

function parseYaml(text: string): unknown {
  try {
    // Few aliases are allowed, so that a small file cannot grow into a huge document.
    return parse(text, { schema: "core", maxAliasCount: 20, logLevel: "silent" });
  } catch (cause) {
    throw corruptModel("MLmodel is not valid YAML", { cause });
  }
}

const EXPORT_HINT =
  "Log the model with mlflow.xgboost.log_model (model_format ubj or json), log a LightGBM model's booster_ with mlflow.lightgbm.log_model, or convert it with skl2onnx, onnxmltools or torch.onnx and log it with mlflow.onnx.log_model; or have a scoring server predict with it (`scoring` of mlflowModel and modelFolder).";

function chooseFlavor(flavors: DocumentObject): { flavor: NativeFlavor; settings: DocumentObject } {
  const names = Object.keys(flavors);
  for (const flavor of NATIVE_FLAVORS) {
    const value = field(flavors, flavor);
    if (value === undefined) continue;
    const settings = asObject(value, `MLmodel.flavors.${flavor}`);
    if (!/\.(pkl|pickle|cloudpkl|joblib)$/.test(String(field(settings, "data")))) return { flavor, settings };
    throw modelError(
      "MODEL_FLAVOR_UNSUPPORTED",
      `The model of flavor ${flavor} was saved as the pickle ${String(field(settings, "data"))}. Loading a pickle runs whatever code is in it, so pickles are never loaded. ${EXPORT_HINT}`,
      { details: { flavors: names } },
    );
  }
  throw modelError(
    "MODEL_FLAVOR_UNSUPPORTED",
    `The model has the flavors ${names.join(", ") || "(none)"}, of which none is loaded here. Python models are pickles, and loading one runs whatever code is in it, so pickles are never loaded. ${EXPORT_HINT}`,
    { details: { flavors: names } },
  );
}

async function findExample(
  folder: ModelFolder,
  document: DocumentObject,
  signature: ModelSignature | null,
  limits: MlmodelLimits,
): Promise<ModelBatch | null> {
  const info = field(document, "saved_input_example_info");
  if (info === undefined || info === null) return null;
  const path = asText(
    field(asObject(info, "saved_input_example_info"), "artifact_path"),
    "saved_input_example_info.artifact_path",
  );
  const names = signatureColumns(signature?.inputs ?? null)?.map((column) => column.name) ?? null;
  return readInputExample(await readText(folder, path, limits), names);
}

async function findMillrace(folder: ModelFolder, limits: MlmodelLimits): Promise<Mlmodel["millrace"]> {
  const path = await findModelFile(folder, "millrace.json");
  if (path === null) return null;
  const text = await readText(folder, path, limits);
  try {
    return asObject(JSON.parse(text), path);
  } catch (cause) {
    throw corruptModel(`${path} is not a JSON object`, { cause });
  }
}
