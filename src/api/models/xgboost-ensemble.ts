import { MISSING_LEFT, MISSING_RIGHT, type PackableTree, packTrees, type TreeEnsemble } from "./tree-ensemble.ts";
import { findRowLeaves, findTreeLeaves } from "./tree-walk.ts";
import type { XgboostTree } from "./xgboost-trees.ts";

/**
 * An XGBoost model's trees. A row's key is a float32 as an int32 of the same order; each feature has two, of which one
 * sends a missing value right and one left. A leaf's word is its value's float32 bits.
 */
export interface XgboostEnsemble extends TreeEnsemble {
  readonly featureCount: number;
  /** The same memory as `nodes`. */
  readonly values: Float32Array;
}

const floatCell: Float32Array = new Float32Array(1);
const bitsCell: Int32Array = new Int32Array(floatCell.buffer);

function bitsOf(value: number): number {
  floatCell[0] = value;
  return bitsCell[0]!;
}

/**
 * A threshold's key. A NaN threshold, which no value is below, is less than every value's key; −0 needs no care, since
 * no value's key lies between its own and that of 0.
 */
function thresholdKey(threshold: number): number {
  if (Number.isNaN(threshold)) return -0x7fffffff;
  const bits = bitsOf(threshold);
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

/**
 * Packs trees for evaluation. `treeWeights` (dart) are multiplied into the leaves in float32, which is what the library
 * does at prediction.
 */
export function packXgboostTrees(
  trees: readonly XgboostTree[],
  treeOutputs: Int32Array,
  options: { featureCount: number; outputs: number; treeWeights: Float32Array | null },
): XgboostEnsemble {
  const { featureCount, outputs, treeWeights } = options;
  const packable = trees.map((tree, t): PackableTree => {
    const { left, right, feature, condition, defaultLeft, categories } = tree;
    const weight = treeWeights === null ? 1 : treeWeights[t]!;
    return {
      left,
      right,
      slot: feature.map((f, node) => f + (defaultLeft[node] !== 0 ? featureCount : 0)),
      key: Int32Array.from(condition, thresholdKey),
      leaf: Int32Array.from(condition, (value) => bitsOf(value * weight)),
      categories,
    };
  });
  const ensemble = packTrees(packable, treeOutputs, {
    keysPerRow: 2 * featureCount,
    outputs,
    categoryKeys: "float32",
  });
  const { buffer, byteOffset, length } = ensemble.nodes;
  return { ...ensemble, featureCount, values: new Float32Array(buffer, byteOffset, length) };
}

/**
 * Writes a row's keys. `bits` is an int32 view of the row's float32 values; NaN is missing. Keys order like the values,
 * −0 equals 0.
 */
export function writeRowKeys(bits: Int32Array, from: number, featureCount: number, keys: Int32Array, to: number): void {
  for (let f = 0; f < featureCount; f++) {
    const b = bits[from + f]!;
    if ((b & 0x7fffffff) > 0x7f800000) {
      keys[to + f] = MISSING_RIGHT;
      keys[to + featureCount + f] = MISSING_LEFT;
    } else {
      const key = b === -0x80000000 ? 0 : b ^ ((b >> 31) & 0x7fffffff);
      keys[to + f] = key;
      keys[to + featureCount + f] = key;
    }
  }
}

/** Adds every tree's leaf for one row to its margins, in the trees' order and in float32. `leaves` is scratch, one per tree. */
export function addTreesToRow(
  ensemble: XgboostEnsemble,
  keys: Int32Array,
  keyStart: number,
  leaves: Int32Array,
  margins: Float32Array,
  marginStart: number,
): void {
  const { values, treeOutputs } = ensemble;
  findRowLeaves(ensemble, keys, keyStart, leaves);
  for (let t = 0; t < treeOutputs.length; t++) margins[marginStart + treeOutputs[t]!]! += values[leaves[t]! + 3]!;
}

/**
 * Adds every tree's leaf for a block of rows, tree by tree, so that a tree stays in the cache for the block. `leaves` is
 * scratch, one per row.
 */
export function addTreesToBlock(
  ensemble: XgboostEnsemble,
  keys: Int32Array,
  rows: number,
  leaves: Int32Array,
  margins: Float32Array,
  marginStart: number,
): void {
  const { values, treeOutputs, outputs } = ensemble;
  for (let t = 0; t < treeOutputs.length; t++) {
    findTreeLeaves(ensemble, t, keys, rows, leaves);
    let margin = marginStart + treeOutputs[t]!;
    for (let row = 0; row < rows; row++, margin += outputs) margins[margin]! += values[leaves[row]! + 3]!;
  }
}
