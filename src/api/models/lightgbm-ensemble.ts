import { type LightgbmTree, MISSING } from "./lightgbm-trees.ts";
import { MISSING_LEFT, MISSING_RIGHT, type PackableTree, packTrees, type TreeEnsemble } from "./tree-ensemble.ts";
import { findRowLeaves, findTreeLeaves } from "./tree-walk.ts";

/**
 * A LightGBM model's trees. Thresholds are doubles, so a value's key is how many of its feature's thresholds lie below
 * it: an exact comparison of integers, and the search is done once for all trees. A row has one key for each way in
 * which a feature's missing values are treated; features that no tree splits by have none. A leaf's word is where its
 * value is in `leafValues`.
 */
export interface LightgbmEnsemble extends TreeEnsemble {
  readonly leafValues: Float64Array;
  /** The features that trees split by. */
  readonly features: Int32Array;
  /** The keys of the feature at `i` are `slotStarts[i]` up to `slotStarts[i + 1]`. */
  readonly slotStarts: Int32Array;
  readonly slotKinds: Uint8Array;
  /** The thresholds of the feature at `i`, rising, are `thresholdStarts[i]` up to `thresholdStarts[i + 1]`. */
  readonly thresholdStarts: Int32Array;
  readonly thresholds: Float64Array;
}

const KIND = { PLAIN: 0, ZERO_LEFT: 1, ZERO_RIGHT: 2, NAN_LEFT: 3, NAN_RIGHT: 4, CATEGORY: 5 } as const;
/** LightGBM's kZeroThreshold: a value no further from zero is zero. */
const ZERO_LIMIT = Math.fround(1e-35);
/** A category is an int32; what lies beyond is in no set. */
const CATEGORY_LIMIT = 0x7ffffffe;

function kindOf(decision: number): number {
  if ((decision & 1) === 1) return KIND.CATEGORY;
  const isLeft = (decision & 2) !== 0;
  switch (decision >> 2) {
    case MISSING.ZERO:
      return isLeft ? KIND.ZERO_LEFT : KIND.ZERO_RIGHT;
    case MISSING.NAN:
      return isLeft ? KIND.NAN_LEFT : KIND.NAN_RIGHT;
    default:
      return KIND.PLAIN;
  }
}

/** Packs trees for evaluation, tree `t` adding to output `t` modulo `outputs`. */
export function packLightgbmTrees(trees: readonly LightgbmTree[], outputs: number): LightgbmEnsemble {
  const { thresholdsByFeature, slots } = collectSplits(trees);
  const features = Int32Array.from(thresholdsByFeature.keys()).sort();
  const slotStarts = new Int32Array(features.length + 1);
  const thresholdStarts = new Int32Array(features.length + 1);
  const slotOf = new Map<number, number>();
  const slotKinds: number[] = [];
  const sorted = new Map<number, Float64Array>();
  for (const [i, feature] of features.entries()) {
    for (let kind = 0; kind <= KIND.CATEGORY; kind++) {
      const slot = feature * 8 + kind;
      if (!slots.has(slot)) continue;
      slotOf.set(slot, slotKinds.length);
      slotKinds.push(kind);
    }
    slotStarts[i + 1] = slotKinds.length;
    const thresholds = Float64Array.from(thresholdsByFeature.get(feature)!).sort();
    sorted.set(feature, thresholds);
    thresholdStarts[i + 1] = thresholdStarts[i]! + thresholds.length;
  }
  const thresholds = new Float64Array(thresholdStarts.at(-1)!);
  for (const [i, feature] of features.entries()) thresholds.set(sorted.get(feature)!, thresholdStarts[i]);
  let leafCount = 0;
  for (const tree of trees) leafCount += (tree.left.length + 1) / 2;
  const leafValues = new Float64Array(leafCount);
  let nextLeaf = 0;
  const packable = trees.map((tree): PackableTree => {
    const splits = (tree.left.length - 1) / 2;
    const slot = new Int32Array(tree.left.length);
    const key = new Int32Array(tree.left.length);
    const leaf = new Int32Array(tree.left.length);
    const left = tree.left.slice();
    const right = tree.right.slice();
    for (let node = 0; node < splits; node++) {
      const feature = tree.feature[node]!;
      const kind = kindOf(tree.decision[node]!);
      slot[node] = slotOf.get(feature * 8 + kind)!;
      if (kind === KIND.CATEGORY) {
        // A packed set goes right, LightGBM's goes left.
        left[node] = tree.right[node]!;
        right[node] = tree.left[node]!;
      } else {
        key[node] = positionOf(sorted.get(feature)!, tree.number[node]!) + 1;
      }
    }
    for (let node = splits; node < tree.left.length; node++) {
      leafValues[nextLeaf] = tree.number[node]!;
      leaf[node] = nextLeaf++;
    }
    return { left, right, slot, key, leaf, categories: tree.categories };
  });
  const ensemble = packTrees(
    packable,
    Int32Array.from(trees, (_, t) => t % outputs),
    { keysPerRow: slotKinds.length, outputs, categoryKeys: "integer" },
  );
  return {
    ...ensemble,
    leafValues,
    features,
    slotStarts,
    slotKinds: Uint8Array.from(slotKinds),
    thresholdStarts,
    thresholds,
  };
}

function collectSplits(trees: readonly LightgbmTree[]): {
  readonly thresholdsByFeature: ReadonlyMap<number, Set<number>>;
  readonly slots: ReadonlySet<number>;
} {
  const thresholdsByFeature = new Map<number, Set<number>>();
  const slots = new Set<number>();
  for (const tree of trees) {
    for (let node = 0; node < (tree.left.length - 1) / 2; node++) {
      const feature = tree.feature[node]!;
      const kind = kindOf(tree.decision[node]!);
      slots.add(feature * 8 + kind);
      const thresholds = thresholdsByFeature.get(feature) ?? new Set();
      thresholdsByFeature.set(feature, thresholds);
      if (kind !== KIND.CATEGORY) thresholds.add(tree.number[node]!);
    }
  }
  return { thresholdsByFeature, slots };
}

function positionOf(sorted: Float64Array, value: number): number {
  return rankOf(sorted, 0, sorted.length, value);
}

/** How many of the rising values from `start` up to `end` are below `x`. */
function rankOf(sorted: Float64Array, start: number, end: number, x: number): number {
  let low = start;
  let count = end - start;
  while (count > 0) {
    const half = count >> 1;
    if (sorted[low + half]! < x) {
      low += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return low - start;
}

/** Writes the keys of the row that starts at `from` in `matrix`; NaN is missing. */
export function writeRowKeys(
  ensemble: LightgbmEnsemble,
  matrix: Float64Array,
  from: number,
  keys: Int32Array,
  to: number,
): void {
  const { features, slotStarts, slotKinds, thresholdStarts, thresholds } = ensemble;
  for (let i = 0; i < features.length; i++) {
    let x = matrix[from + features[i]!]!;
    const isMissing = Number.isNaN(x);
    if (isMissing || (x <= ZERO_LIMIT && x >= -ZERO_LIMIT)) x = 0;
    const rank = rankOf(thresholds, thresholdStarts[i]!, thresholdStarts[i + 1]!, x);
    for (let slot = slotStarts[i]!; slot < slotStarts[i + 1]!; slot++) {
      let key = rank;
      switch (slotKinds[slot]) {
        case KIND.ZERO_LEFT:
          if (x === 0) key = MISSING_LEFT;
          break;
        case KIND.ZERO_RIGHT:
          if (x === 0) key = MISSING_RIGHT;
          break;
        case KIND.NAN_LEFT:
          if (isMissing) key = MISSING_LEFT;
          break;
        case KIND.NAN_RIGHT:
          if (isMissing) key = MISSING_RIGHT;
          break;
        case KIND.CATEGORY:
          key = isMissing || x <= -1 || x >= CATEGORY_LIMIT ? -1 : Math.trunc(x);
          break;
      }
      keys[to + slot] = key;
    }
  }
}

/** Adds every tree's leaf for one row to its margins, in the trees' order. `leaves` is scratch, one per tree. */
export function addTreesToRow(
  ensemble: LightgbmEnsemble,
  keys: Int32Array,
  leaves: Int32Array,
  margins: Float64Array,
): void {
  const { nodes, leafValues, treeOutputs } = ensemble;
  findRowLeaves(ensemble, keys, 0, leaves);
  for (let t = 0; t < treeOutputs.length; t++) margins[treeOutputs[t]!]! += leafValues[nodes[leaves[t]! + 3]!]!;
}

/** Adds every tree's leaf for a block of rows, tree by tree. `leaves` is scratch, one per row. */
export function addTreesToBlock(
  ensemble: LightgbmEnsemble,
  keys: Int32Array,
  rows: number,
  leaves: Int32Array,
  margins: Float64Array,
  marginStart: number,
): void {
  const { nodes, leafValues, treeOutputs, outputs } = ensemble;
  for (let t = 0; t < treeOutputs.length; t++) {
    findTreeLeaves(ensemble, t, keys, rows, leaves);
    let margin = marginStart + treeOutputs[t]!;
    for (let row = 0; row < rows; row++, margin += outputs) margins[margin]! += leafValues[nodes[leaves[row]! + 3]!]!;
  }
}
