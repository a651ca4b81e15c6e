import { type LightgbmModel, loadLightgbmModel, type PackedLightgbm } from "./lightgbm-model.ts";
import type { ModelColumn, ModelRunner } from "./model-runner.ts";
import { answerOf, numberedColumns, treeRunner } from "./tree-runner.ts";

export interface LightgbmRunnerOptions {
  /** Names and types of the inputs where the signature gives them; the file's own feature names order them. */
  readonly inputs?: readonly ModelColumn[] | null;
  /** See `LightgbmModelOptions`. Default `transformed`. */
  readonly output?: "transformed" | "margin";
}

/**
 * A runner for a LightGBM model's text file, see {@link treeRunner}. A feature's categories are those of the data frame
 * that Python's package recorded; the file gives them without their columns, so they are used where it is certain
 * which columns they are: as many as the features trained as categories, or as the signature's texts.
 *
 * @throws MODEL_CORRUPT, MODEL_UNSUPPORTED, MODEL_TOO_LARGE, SIGNATURE_MISMATCH
 */
export function lightgbmRunner(
  file: Uint8Array | PackedLightgbm,
  options: LightgbmRunnerOptions = {},
): ModelRunner & { readonly model: LightgbmModel } {
  const kind = options.output ?? "transformed";
  const model = loadLightgbmModel(file, { output: kind });
  const inputs = nameInputs(model, options.inputs ?? null);
  const name = kind === "margin" ? "margin" : model.isProbability ? "probability" : "prediction";
  const runner = treeRunner({
    flavor: "lightgbm",
    model,
    newMatrix: (size) => new Float64Array(size),
    asMatrix: (numbers) => (numbers instanceof Float64Array ? numbers : new Float64Array(numbers)),
    inputs,
    outputs: numberedColumns(name, model.outputWidth, "double"),
    categories: placeCategories(model, inputs),
    toAnswer: answerOf,
  });
  return { ...runner, model };
}

/**
 * The file's feature names in their order, with the signature's types. Where training named nothing, LightGBM writes
 * `Column_0` and on: then the signature's own names are taken, and without one the features have none.
 */
function nameInputs(model: LightgbmModel, signature: readonly ModelColumn[] | null): readonly ModelColumn[] | null {
  const { featureNames, featureCount, isCategory } = model;
  const isNamed = featureNames.some((name, f) => name !== `Column_${f}`);
  if (!isNamed) return signature?.length === featureCount ? signature : null;
  // LightGBM writes spaces in names as underscores.
  const declared = new Map(signature?.map((column) => [column.name.replaceAll(" ", "_"), column]));
  return featureNames.map(
    (name, f) => declared.get(name) ?? { name, type: isCategory[f] === true ? "category" : "double", required: true },
  );
}

function placeCategories(
  model: LightgbmModel,
  inputs: readonly ModelColumn[] | null,
): readonly (readonly (string | number)[] | null)[] | null {
  const { pandasCategories } = model;
  if (pandasCategories === null) return null;
  for (const isOne of [
    (f: number) => model.isCategory[f] === true,
    (f: number) => inputs !== null && ["string", "category"].includes(inputs[f]!.type),
  ]) {
    const places = Array.from({ length: model.featureCount }, (_, f) => f).filter(isOne);
    if (places.length !== pandasCategories.length) continue;
    const categories: (readonly (string | number)[] | null)[] = new Array(model.featureCount).fill(null);
    for (const [i, f] of places.entries()) categories[f] = pandasCategories[i]!;
    return categories;
  }
  return null;
}
