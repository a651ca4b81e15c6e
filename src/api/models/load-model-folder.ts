import { setImmediate as nextTurn } from "node:timers/promises";
import { isMillraceError } from "../../definitions/errors.ts";
import type { Value } from "../../definitions/value.ts";
import { lightgbmRunner } from "./lightgbm-runner.ts";
import { DEFAULT_MLMODEL_LIMITS, type Mlmodel, type MlmodelLimits, readMlmodel } from "./mlmodel.ts";
import { readModelFile } from "./model-folder.ts";
import type { ModelBatch, ModelRunner } from "./model-runner.ts";
import { isIntegral, type ModelSignature, signatureColumns } from "./model-signature.ts";
import { onnxModel } from "./onnx-thread-runner.ts";
import { packModel } from "./pack-model.ts";
import type { ScoringOptions } from "./scoring-client.ts";
import { scoringRunner } from "./scoring-runner.ts";
import { xgboostRunner } from "./xgboost-runner.ts";

export interface LoadModelOptions {
  /**
   * What an XGBoost or LightGBM model answers with, see `XgboostRunnerOptions` (LightGBM has no `label`). Default: `label` for an `XGBClassifier` whose
   * signature has whole numbers as outputs, as its `predict` gives in MLflow, else `transformed`.
   */
  readonly output?: "transformed" | "margin" | "label";
  /** Which output of an ONNX model to answer with. Default: the one named like `probabilities`, else the first. */
  readonly onnxOutput?: string;
  /** The server that predicts with the model: then the folder gives what is known about it, and none of its files is loaded. */
  readonly scoring?: ScoringTarget;
  readonly limits?: Partial<MlmodelLimits>;
}

/** A scoring server, and the version that it is asked for. */
export interface ScoringTarget {
  /** Its name in the configuration. */
  readonly server: string;
  readonly options: ScoringOptions;
  readonly version: string;
}

/** A model that is loaded and warm. */
export interface LoadedModel {
  readonly runner: ModelRunner;
  readonly flavor: string;
  readonly signature: ModelSignature | null;
  readonly inputExample: ModelBatch | null;
  /** `millrace.json`: service name and hash, fitted state of the transforms; null when it was not logged. */
  readonly millrace: Readonly<Record<string, unknown>> | null;
  readonly about: Mlmodel["about"];
  /** Reading, parsing and warming up. */
  readonly loadSeconds: number;
}

/**
 * Loads a model from a folder in MLflow model format and warms it up with its input example, so that the first request
 * is as fast as later ones. Nothing in the folder is executed and nothing outside it is read.
 *
 * @throws the codes of `readMlmodel`, `xgboostRunner`, `lightgbmRunner` and `onnxRunner`; SIGNATURE_MISMATCH or MODEL_INPUT_INVALID when
 * the input example does not fit the model.
 */
export async function loadModelFolder(path: string, options: LoadModelOptions = {}): Promise<LoadedModel> {
  const start = performance.now();
  const limits = { ...DEFAULT_MLMODEL_LIMITS, ...options.limits };
  const { scoring } = options;
  const mlmodel = await readMlmodel(path, limits, scoring !== undefined);
  const runner =
    scoring === undefined
      ? await createRunner(mlmodel, await readModelFile(mlmodel.folder, mlmodel.dataPath, limits.modelBytes), options)
      : await scoringRunner(scoring.server, scoring.options, scoring.version, {
          inputs: signatureColumns(mlmodel.signature?.inputs ?? null),
        });
  try {
    await warmUp(runner, mlmodel.inputExample);
  } catch (error) {
    await runner.close();
    throw error;
  }
  return {
    runner,
    flavor: mlmodel.flavor,
    signature: mlmodel.signature,
    inputExample: mlmodel.inputExample,
    millrace: mlmodel.millrace,
    about: mlmodel.about,
    loadSeconds: (performance.now() - start) / 1000,
  };
}

async function createRunner(mlmodel: Mlmodel, bytes: Uint8Array, options: LoadModelOptions): Promise<ModelRunner> {
  const inputs = signatureColumns(mlmodel.signature?.inputs ?? null);
  if (mlmodel.flavor === "onnx") {
    return onnxModel(bytes, { inputs, ...(options.onnxOutput === undefined ? {} : { output: options.onnxOutput }) });
  }
  if (mlmodel.flavor === "lightgbm") {
    return lightgbmRunner(await packModel({ flavor: "lightgbm" }, bytes), {
      inputs,
      output: options.output === "margin" ? "margin" : "transformed",
    });
  }
  const modelClass = mlmodel.modelClass ?? "";
  const givesLabels = modelClass.endsWith(".XGBClassifier") && isIntegral(mlmodel.signature?.outputs ?? null);
  // The scikit-learn wrapper predicts with the best iteration, a Booster with all of them.
  const iterations = modelClass.startsWith("xgboost.sklearn.") ? "best" : "all";
  return xgboostRunner(await packModel({ flavor: "xgboost", iterations }, bytes), {
    inputs,
    output: options.output ?? (givesLabels ? "label" : "transformed"),
  });
}

/** Enough calls for V8 to compile the walk, within a time that a swap of versions does not feel. */
const WARM_UP_CALLS = 300;
const WARM_UP_MILLISECONDS = 50;
/** Of which so much at once: requests come between. */
const WARM_UP_SLICE_MILLISECONDS = 1;

async function warmUp(runner: ModelRunner, example: ModelBatch | null): Promise<void> {
  const batch = example ?? inventRow(runner);
  if (batch === null) return;
  try {
    const prepared = runner.prepare(batch.columns);
    await prepared.predict(batch.rows);
    let sliceEnd = performance.now() + WARM_UP_SLICE_MILLISECONDS;
    const end = performance.now() + WARM_UP_MILLISECONDS;
    for (let i = 0; i < WARM_UP_CALLS; i++) {
      if (performance.now() > sliceEnd) {
        await nextTurn();
        if (performance.now() > end) break;
        sliceEnd = performance.now() + WARM_UP_SLICE_MILLISECONDS;
      }
      const row = batch.rows[i % batch.rows.length]!;
      if (prepared.predictRow === null) await prepared.predict([row]);
      else prepared.predictRow(row);
    }
  } catch (error) {
    // An invented row may be refused; an example of the model's author may not.
    if (example !== null || !isMillraceError(error)) throw error;
  }
}

/** A row of zeros and empty texts; null for a model whose inputs have no names. */
function inventRow(runner: ModelRunner): ModelBatch | null {
  if (runner.inputs === null) return null;
  const row = runner.inputs.map((input): Value => (input.type === "string" ? "" : 0));
  return { columns: runner.inputs.map((input) => input.name), rows: [row] };
}
