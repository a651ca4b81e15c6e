import { parse } from "yaml";
import { readInputExample } from "./input-example.ts";
import { asObject, asText, type DocumentObject, field } from "./model-document.ts";
import { corruptModel, modelError } from "./model-errors.ts";
import { findModelFile, type ModelFolder, openModelFolder, readModelFile } from "./model-folder.ts";
import type { ModelBatch } from "./model-runner.ts";
import { type ModelSignature, readSignature, signatureColumns } from "./model-signature.ts";

/** What a folder in MLflow model format says, before its model is loaded. */
export interface Mlmodel {
  readonly folder: ModelFolder;
  readonly flavor: "xgboost" | "onnx";
  /** The model's file, relative to the folder. */
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
 * @throws MODEL_NOT_FOUND, MODEL_CORRUPT, MODEL_PATH_OUTSIDE, MODEL_TOO_LARGE, MODEL_FLAVOR_UNSUPPORTED
 * @see https://mlflow.org/docs/latest/ml/model/#storage-format
 */
export async function readMlmodel(path: string, limits: MlmodelLimits = DEFAULT_MLMODEL_LIMITS): Promise<Mlmodel> {
  const folder = await openModelFolder(path);
  const document = asObject(parseYaml(await readText(folder, "MLmodel", limits)), "MLmodel");
  const flavors = asObject(field(document, "flavors"), "MLmodel.flavors");
  const { flavor, settings } = chooseFlavor(flavors);
  const signature = readSignature(field(document, "signature"));
  return {
    folder,
    flavor,
    dataPath: asText(field(settings, "data"), `MLmodel.flavors.${flavor}.data`),
    modelClass: optionalText(field(settings, "model_class")),
    signature,
    inputExample: await findExample(folder, document, signature, limits),
    millrace: await findMillrace(folder, limits),
    about: {
      modelId: optionalText(field(document, "model_id")) ?? optionalText(field(document, "model_uuid")),
      runId: optionalText(field(document, "run_id")),
      createdAt: optionalText(field(document, "utc_time_created")),
      mlflowVersion: optionalText(field(document, "mlflow_version")),
      libraryVersion: optionalText(field(settings, flavor === "onnx" ? "onnx_version" : "xgb_version")),
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
  "Log the model with mlflow.xgboost.log_model (model_format ubj or json), or convert it with skl2onnx, onnxmltools or torch.onnx and log it with mlflow.onnx.log_model.";

function chooseFlavor(flavors: DocumentObject): { flavor: "xgboost" | "onnx"; settings: DocumentObject } {
  for (const flavor of ["xgboost", "onnx"] as const) {
    const settings = field(flavors, flavor);
    if (settings !== undefined) return { flavor, settings: asObject(settings, `MLmodel.flavors.${flavor}`) };
  }
  const names = Object.keys(flavors);
  const details = { flavors: names };
  if (names.includes("lightgbm")) {
    throw modelError(
      "MODEL_FLAVOR_UNSUPPORTED",
      `The model has the flavor lightgbm, which is not supported in this version (its trees must be evaluated in double precision, for which the evaluator does not exist yet). ${EXPORT_HINT}`,
      { details },
    );
  }
  throw modelError(
    "MODEL_FLAVOR_UNSUPPORTED",
    `The model has the flavors ${names.join(", ") || "(none)"}, of which none is loaded here. Python models are pickles, and loading one runs whatever code is in it, so pickles are never loaded. ${EXPORT_HINT}`,
    { details },
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
