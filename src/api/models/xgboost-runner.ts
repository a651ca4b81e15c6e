import type { ModelColumn, ModelRunner } from "./model-runner.ts";
import { answerOf, numberedColumns, type ToAnswer, treeRunner } from "./tree-runner.ts";
import { loadXgboostModel, type PackedXgboost, type XgboostModel } from "./xgboost-model.ts";
import { argMax } from "./xgboost-objectives.ts";

export interface XgboostRunnerOptions {
  /** Names and types of the inputs where the signature gives them; the file's own feature names order them. */
  readonly inputs?: readonly ModelColumn[] | null;
  /** See `XgboostModelOptions`. Default `all`. */
  readonly iterations?: "all" | "best";
  /**
   * `transformed` (default) and `margin` as in `XgboostModelOptions`. `label`: what `XGBClassifier.predict` gives, 1 for
   * a probability above 0.5, or the most probable class, from 0.
   */
  readonly output?: "transformed" | "margin" | "label";
}

/**
 * A runner for an XGBoost model's native file, see {@link treeRunner}. A feature's categories are those that the file
 * records (XGBoost 3.1 and later).
 *
 * @throws MODEL_CORRUPT, MODEL_UNSUPPORTED, MODEL_TOO_LARGE, SIGNATURE_MISMATCH
 */
export function xgboostRunner(
  file: Uint8Array | PackedXgboost,
  options: XgboostRunnerOptions = {},
): ModelRunner & { readonly model: XgboostModel } {
  const kind = options.output ?? "transformed";
  const model = loadXgboostModel(file, {
    iterations: options.iterations ?? "all",
    output: kind === "margin" ? "margin" : "transformed",
  });
  const runner = treeRunner({
    flavor: "xgboost",
    model,
    newMatrix: (size) => new Float32Array(size),
    asMatrix: (numbers) => (numbers instanceof Float32Array ? numbers : new Float32Array(numbers)),
    inputs: nameInputs(model, options.inputs ?? null),
    outputs: outputColumns(model, kind),
    categories: model.featureCategories,
    toAnswer: kind === "label" ? labelOf(model) : answerOf,
  });
  return { ...runner, model };
}

/** The file's feature names in their order, with the signature's types; the signature's own when the file has none. */
function nameInputs(model: XgboostModel, signature: readonly ModelColumn[] | null): readonly ModelColumn[] | null {
  if (model.featureNames === null) return signature?.length === model.featureCount ? signature : null;
  const declared = new Map(signature?.map((column) => [column.name, column]));
  return model.featureNames.map(
    (name, f) =>
      declared.get(name) ?? { name, type: model.featureTypes?.[f] === "c" ? "category" : "float", required: true },
  );
}

function labelOf(model: XgboostModel): ToAnswer {
  if (model.objective === "multi:softprob") return argMax;
  if (["binary:logistic", "binary:logitraw"].includes(model.objective)) {
    return (outputs, start) => (outputs[start]! > 0.5 ? 1 : 0);
  }
  return answerOf;
}

function outputColumns(model: XgboostModel, kind: "transformed" | "margin" | "label"): readonly ModelColumn[] {
  if (kind === "label") return [{ name: "label", type: "long", required: true }];
  const isProbability = kind === "transformed" && ["binary:logistic", "multi:softprob"].includes(model.objective);
  const name = kind === "margin" ? "margin" : isProbability ? "probability" : "prediction";
  return numberedColumns(name, model.outputWidth, "float");
}
