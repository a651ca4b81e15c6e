import { modelError } from "./model-errors.ts";

/** One tree to be packed: parallel arrays over its nodes, node 0 is the root, −1 in `left` marks a leaf. */
export interface TreeSource {
  readonly left: Int32Array;
  readonly right: Int32Array;
  readonly feature: Int32Array;
  readonly condition: Float32Array;
  readonly defaultLeft: Int32Array;
  readonly categories: ReadonlyMap<number, Int32Array> | null;
}

/**
 * All trees of a model in one flat array, four words per node:
 *
 * | word | inner node | leaf |
 * | --- | --- | --- |
 * | 0 | index of the row's key: the feature, plus `featureCount` if missing values go left | 0 |
 * | 1 | the threshold's key | the largest int32 |
 * | 2 | offset of the left child, the right one follows it | its own offset |
 * | 3 | 0, or 1 + offset of the category set | the value's float32 bits |
 *
 * A key is a float32 as an int32 of the same order (see {@link writeRowKeys}). A row goes right iff its key is at least
 * the threshold's, and a leaf leads to itself, so that a walk needs no branch that depends on data and several walks
 * can be interleaved.
 */
export interface TreeEnsemble {
  readonly featureCount: number;
  readonly outputs: number;
  readonly nodes: Int32Array;
  /** The same memory as `nodes`. */
  readonly values: Float32Array;
  readonly roots: Int32Array;
  readonly depths: Int32Array;
  readonly treeOutputs: Int32Array;
  /** 1 for a tree that splits by category. */
  readonly isCategorical: Uint8Array;
  /** 1 where this tree and the next three are walked together for one row. */
  readonly startsQuad: Uint8Array;
  /** Category sets: a count of words, then as many words of bits, least significant first. */
  readonly categoryBits: Int32Array;
}

/** Walks of more steps than this end at their leaf instead of running to the depth of the deepest. */
export const MAX_INTERLEAVED_DEPTH = 12;
const MAX_CATEGORY_WORDS = 64 * 1024 * 1024;
const LEAF_KEY = 0x7fffffff;

const floatCell: Float32Array = new Float32Array(1);
const bitsCell: Int32Array = new Int32Array(floatCell.buffer);

/**
 * A threshold's key. A NaN threshold, which no value is below, is less than every value's key; −0 needs no care, since
 * no value's key lies between its own and that of 0.
 */
function thresholdKey(threshold: number): number {
  if (Number.isNaN(threshold)) return -0x7fffffff;
  floatCell[0] = threshold;
  const bits = bitsCell[0]!;
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

/**
 * Packs trees for evaluation. `treeWeights` (dart) are multiplied into the leaves in float32, which is what the library
 * does at prediction.
 */
export function packTrees(
  trees: readonly TreeSource[],
  treeOutputs: Int32Array,
  options: { featureCount: number; outputs: number; treeWeights: Float32Array | null },
): TreeEnsemble {
  let nodeCount = 0;
  for (const tree of trees) nodeCount += tree.left.length;
  const nodes = new Int32Array(nodeCount * 4);
  const values = new Float32Array(nodes.buffer);
  const roots = new Int32Array(trees.length);
  const depths = new Int32Array(trees.length);
  const isCategorical = new Uint8Array(trees.length);
  const categoryWords: number[] = [];
  let end = 0;
  for (let t = 0; t < trees.length; t++) {
    const tree = trees[t]!;
    const weight = options.treeWeights === null ? 1 : options.treeWeights[t]!;
    roots[t] = end;
    if (tree.categories !== null) isCategorical[t] = 1;
    // Breadth first, children side by side.
    const queue = [0];
    let next = end + 4;
    let depth = 0;
    let levelEnd = 1;
    for (let i = 0; i < queue.length; i++, end += 4) {
      if (i === levelEnd) {
        depth++;
        levelEnd = queue.length;
      }
      const node = queue[i]!;
      if (tree.left[node] === -1) {
        nodes[end + 1] = LEAF_KEY;
        nodes[end + 2] = end;
        values[end + 3] = tree.condition[node]! * weight;
        continue;
      }
      nodes[end] = tree.feature[node]! + (tree.defaultLeft[node] !== 0 ? options.featureCount : 0);
      nodes[end + 1] = thresholdKey(tree.condition[node]!);
      nodes[end + 2] = next;
      const categories = tree.categories?.get(node);
      if (categories !== undefined) nodes[end + 3] = 1 + appendCategorySet(categoryWords, categories);
      queue.push(tree.left[node]!, tree.right[node]!);
      next += 8;
    }
    depths[t] = depth;
  }
  return {
    featureCount: options.featureCount,
    outputs: options.outputs,
    nodes: nodes.subarray(0, end),
    values: values.subarray(0, end),
    roots,
    depths,
    treeOutputs,
    isCategorical,
    startsQuad: planQuads(depths, isCategorical),
    categoryBits: Int32Array.from(categoryWords),
  };
}

function appendCategorySet(words: number[], categories: Int32Array): number {
  const offset = words.length;
  let max = 0;
  for (const category of categories) max = Math.max(max, category);
  const count = (max >> 5) + 1;
  if (offset + count + 1 > MAX_CATEGORY_WORDS) {
    throw modelError(
      "MODEL_TOO_LARGE",
      "The model's category sets need more than 256 MB. Number the categories from 0 without gaps and train again.",
    );
  }
  words.push(count);
  for (let i = 0; i < count; i++) words.push(0);
  for (const category of categories) words[offset + 1 + (category >> 5)]! |= 1 << (category & 31);
  return offset;
}

function planQuads(depths: Int32Array, isCategorical: Uint8Array): Uint8Array {
  const startsQuad = new Uint8Array(depths.length);
  const isFlat = (t: number): boolean => isCategorical[t] === 0 && depths[t]! <= MAX_INTERLEAVED_DEPTH;
  for (let t = 0; t + 3 < depths.length; t++) {
    if (isFlat(t) && isFlat(t + 1) && isFlat(t + 2) && isFlat(t + 3)) {
      startsQuad[t] = 1;
      t += 3;
    }
  }
  return startsQuad;
}

/** Memory held by an ensemble, in bytes. */
export function ensembleBytes(ensemble: TreeEnsemble): number {
  return ensemble.nodes.byteLength + ensemble.categoryBits.byteLength + ensemble.roots.byteLength * 4;
}
