import { ensembleBytes } from "./tree-ensemble.ts";
import { checkMatrix, checkRowWidth, rowsOfBlock } from "./tree-input.ts";
import {
  addTreesToBlock,
  addTreesToRow,
  packXgboostTrees,
  writeRowKeys,
  type XgboostEnsemble,
} from "./xgboost-ensemble.ts";
import { xgboostObjective } from "./xgboost-objectives.ts";
import { parseXgboost, type XgboostFile } from "./xgboost-parse.ts";

export interface XgboostModelOptions {
  /**
   * Which trees to use. `all` is what `Booster.predict` does; `best` stops after the best iteration that early stopping
   * recorded, as the scikit-learn wrapper does, and is `all` where none is recorded. Default `all`.
   */
  readonly iterations?: "all" | "best";
  /** `transformed`: probabilities, means, classes. `margin`: the raw sums (`output_margin=True`). Default `transformed`. */
  readonly output?: "transformed" | "margin";
}

/** An XGBoost model ready to predict. It holds no resources but memory. */
export interface XgboostModel {
  /** The library that wrote the file, "3.2.0"; "" when it does not say. */
  readonly libraryVersion: string;
  readonly objective: string;
  readonly featureCount: number;
  readonly featureNames: readonly string[] | null;
  readonly featureTypes: readonly string[] | null;
  /** For each feature the categories, in the order of their codes, that training recorded; null for others. */
  readonly featureCategories: readonly (readonly (string | number)[] | null)[] | null;
  readonly isMulticlass: boolean;
  readonly treeCount: number;
  /** Values per row. */
  readonly outputWidth: number;
  readonly sizeBytes: number;
  /** One row of `featureCount` values, NaN where missing; gives `outputWidth` values. */
  readonly predictRow: (features: Float32Array | readonly number[]) => number[];
  /**
   * `rows` rows of `cols` = `featureCount` values, row after row, NaN where missing; gives `rows` · `outputWidth`
   * values in the same order.
   */
  readonly predictBatch: (matrix: Float32Array, rows: number, cols: number) => Float32Array;
}

/** A parsed and packed model: plain data, that another thread may have made. */
export interface PackedXgboost extends Omit<XgboostFile, "trees"> {
  readonly treeCount: number;
  readonly ensemble: XgboostEnsemble;
}

/**
 * The part of loading that takes the longer the larger the model is.
 * @throws MODEL_CORRUPT, MODEL_UNSUPPORTED, MODEL_TOO_LARGE
 */
export function packXgboost(bytes: Uint8Array, iterations: "all" | "best" = "all"): PackedXgboost {
  const { trees, ...file } = parseXgboost(bytes);
  const { featureCount, outputs, bestIteration, iterationEnds, treeOutputs, treeWeights } = file;
  const lastIteration =
    iterations === "best" && bestIteration !== null
      ? Math.min(bestIteration + 1, iterationEnds.length - 1)
      : iterationEnds.length - 1;
  const treeCount = iterationEnds[lastIteration]!;
  const ensemble = packXgboostTrees(trees.slice(0, treeCount), treeOutputs.slice(0, treeCount), {
    featureCount,
    outputs,
    treeWeights,
  });
  return { ...file, treeCount, ensemble };
}

/**
 * Loads an XGBoost model from the bytes of its native `.json` or `.ubj` file.
 *
 * Predictions equal XGBoost's own on x86-64 to the bit: features and thresholds are float32, `x < threshold` goes left,
 * leaves are summed in float32 in the trees' order starting from the base score, and the objective's exponential is
 * glibc's. (Builds that fuse multiply and add, as on ARM, may differ in the last place for dart.)
 *
 * @throws MODEL_CORRUPT, MODEL_UNSUPPORTED, MODEL_TOO_LARGE
 */
export function loadXgboostModel(model: Uint8Array | PackedXgboost, options: XgboostModelOptions = {}): XgboostModel {
  const file = model instanceof Uint8Array ? packXgboost(model, options.iterations) : model;
  const objective = xgboostObjective(file.objective);
  const { featureCount, outputs, treeCount, ensemble } = file;
  const baseMargins = file.baseScores.map(objective.marginOfBaseScore);
  const isMargin = options.output === "margin" || objective.isIdentity;
  const outputWidth = isMargin ? outputs : objective.outputWidth(outputs);
  const stride = ensemble.keysPerRow;

  const rowValues = new Float32Array(featureCount);
  const rowBits = new Int32Array(rowValues.buffer);
  const rowKeys = new Int32Array(stride);
  const rowLeaves = new Int32Array(treeCount);
  const rowMargins = new Float32Array(outputs);
  const blockRows = rowsOfBlock(stride);
  const blockLeaves = new Int32Array(blockRows);
  let blockKeys: Int32Array | null = null;

  function predictRow(features: Float32Array | readonly number[]): number[] {
    checkRowWidth(features.length, featureCount);
    for (let f = 0; f < featureCount; f++) rowValues[f] = features[f]!;
    writeRowKeys(rowBits, 0, featureCount, rowKeys, 0);
    for (let i = 0; i < outputs; i++) rowMargins[i] = baseMargins[i]!;
    addTreesToRow(ensemble, rowKeys, 0, rowLeaves, rowMargins, 0);
    const result = isMargin ? rowMargins : objective.transform(rowMargins, 1, outputs);
    return result.length === 1 ? [result[0]!] : Array.from(result);
  }

  function predictBatch(matrix: Float32Array, rows: number, cols: number): Float32Array {
    checkMatrix(matrix.length, rows, cols, featureCount);
    blockKeys ??= new Int32Array(stride * blockRows);
    const bits = new Int32Array(matrix.buffer, matrix.byteOffset, matrix.length);
    const margins = new Float32Array(rows * outputs);
    for (let i = 0; i < margins.length; i++) margins[i] = baseMargins[i % outputs]!;
    for (let start = 0; start < rows; start += blockRows) {
      const count = Math.min(blockRows, rows - start);
      for (let row = 0; row < count; row++) {
        writeRowKeys(bits, (start + row) * cols, featureCount, blockKeys, row * stride);
      }
      addTreesToBlock(ensemble, blockKeys, count, blockLeaves, margins, start * outputs);
    }
    return isMargin ? margins : objective.transform(margins, rows, outputs);
  }

  return {
    libraryVersion: file.version.join("."),
    objective: file.objective,
    featureCount,
    featureNames: file.featureNames,
    featureTypes: file.featureTypes,
    featureCategories: file.featureCategories,
    isMulticlass: file.isMulticlass,
    treeCount,
    outputWidth,
    sizeBytes: ensembleBytes(ensemble) + rowKeys.byteLength + stride * blockRows * 4,
    predictRow,
    predictBatch,
  };
}
