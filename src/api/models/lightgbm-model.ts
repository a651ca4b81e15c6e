import {
  addTreesToBlock,
  addTreesToRow,
  type LightgbmEnsemble,
  packLightgbmTrees,
  writeRowKeys,
} from "./lightgbm-ensemble.ts";
import { lightgbmObjective } from "./lightgbm-objectives.ts";
import { type LightgbmFile, parseLightgbm } from "./lightgbm-parse.ts";
import { ensembleBytes } from "./tree-ensemble.ts";
import { checkMatrix, checkRowWidth, rowsOfBlock } from "./tree-input.ts";

export interface LightgbmModelOptions {
  /** `transformed`: probabilities, means. `margin`: the raw sums (`raw_score=True`). Default `transformed`. */
  readonly output?: "transformed" | "margin";
}

/** A LightGBM model ready to predict. It holds no resources but memory. */
export interface LightgbmModel
  extends Pick<LightgbmFile, "featureCount" | "featureNames" | "isCategory" | "pandasCategories"> {
  /** "binary"; "none" when training had one of its own. */
  readonly objective: string;
  readonly isProbability: boolean;
  readonly treeCount: number;
  /** Values per row. */
  readonly outputWidth: number;
  readonly sizeBytes: number;
  /** One row of `featureCount` values, NaN where missing; gives `outputWidth` values. */
  readonly predictRow: (features: Float64Array | readonly number[]) => number[];
  /**
   * `rows` rows of `cols` = `featureCount` values, row after row, NaN where missing; gives `rows` · `outputWidth`
   * values in the same order.
   */
  readonly predictBatch: (matrix: Float64Array, rows: number, cols: number) => Float64Array;
}

/** A parsed and packed model: plain data, that another thread may have made. */
export interface PackedLightgbm extends Omit<LightgbmFile, "trees"> {
  readonly treeCount: number;
  readonly ensemble: LightgbmEnsemble;
}

/**
 * The part of loading that takes the longer the larger the model is.
 * @throws MODEL_CORRUPT, MODEL_UNSUPPORTED, MODEL_TOO_LARGE
 */
export function packLightgbm(bytes: Uint8Array): PackedLightgbm {
  const { trees, ...file } = parseLightgbm(bytes);
  return { ...file, treeCount: trees.length, ensemble: packLightgbmTrees(trees, file.outputs) };
}

/**
 * Loads a LightGBM model from the bytes of its text file.
 *
 * Predictions equal LightGBM's own to the bit: features, thresholds and leaves are doubles, `x <= threshold` goes left,
 * a value within 1e-35 of zero is zero, leaves are summed in the trees' order, and the objective's exponential is
 * glibc's on x86-64 with fused multiply-add.
 *
 * @throws MODEL_CORRUPT, MODEL_UNSUPPORTED, MODEL_TOO_LARGE
 */
export function loadLightgbmModel(
  model: Uint8Array | PackedLightgbm,
  options: LightgbmModelOptions = {},
): LightgbmModel {
  const file = model instanceof Uint8Array ? packLightgbm(model) : model;
  const { featureCount, outputs, treeCount, ensemble } = file;
  const objective = lightgbmObjective(file.objective, outputs);
  const isMargin = options.output === "margin";
  const iterations = file.averagesOutput && !isMargin && treeCount > 0 ? treeCount / outputs : 1;
  const transform = isMargin ? null : objective.transform;
  const stride = ensemble.keysPerRow;

  const rowValues = new Float64Array(featureCount);
  const rowKeys = new Int32Array(stride);
  const rowLeaves = new Int32Array(treeCount);
  const rowMargins = new Float64Array(outputs);
  const blockRows = rowsOfBlock(stride);
  const blockLeaves = new Int32Array(blockRows);
  let blockKeys: Int32Array | null = null;

  function finish(margins: Float64Array, rows: number): void {
    if (iterations !== 1) for (let i = 0; i < margins.length; i++) margins[i]! /= iterations;
    if (transform !== null) transform(margins, rows, outputs);
  }

  function predictRow(features: Float64Array | readonly number[]): number[] {
    checkRowWidth(features.length, featureCount);
    rowValues.set(features);
    writeRowKeys(ensemble, rowValues, 0, rowKeys, 0);
    rowMargins.fill(0);
    addTreesToRow(ensemble, rowKeys, rowLeaves, rowMargins);
    finish(rowMargins, 1);
    return outputs === 1 ? [rowMargins[0]!] : Array.from(rowMargins);
  }

  function predictBatch(matrix: Float64Array, rows: number, cols: number): Float64Array {
    checkMatrix(matrix.length, rows, cols, featureCount);
    blockKeys ??= new Int32Array(stride * blockRows);
    const margins = new Float64Array(rows * outputs);
    for (let start = 0; start < rows; start += blockRows) {
      const count = Math.min(blockRows, rows - start);
      for (let row = 0; row < count; row++) {
        writeRowKeys(ensemble, matrix, (start + row) * cols, blockKeys, row * stride);
      }
      addTreesToBlock(ensemble, blockKeys, count, blockLeaves, margins, start * outputs);
    }
    finish(margins, rows);
    return margins;
  }

  return {
    objective: objective.name,
    isProbability: objective.isProbability,
    featureCount,
    featureNames: file.featureNames,
    isCategory: file.isCategory,
    pandasCategories: file.pandasCategories,
    treeCount,
    outputWidth: outputs,
    sizeBytes:
      ensembleBytes(ensemble) +
      ensemble.leafValues.byteLength +
      ensemble.thresholds.byteLength +
      stride * (blockRows + 1) * 4,
    predictRow,
    predictBatch,
  };
}
