import { modelError } from "./model-errors.ts";

/**
 * One tree to be packed: parallel arrays over its nodes, node 0 is the root, −1 in `left` marks a leaf. A row goes right
 * iff the key in its slot is at least the node's key; at a node with categories, iff its category is among them.
 */
export interface PackableTree {
  readonly left: Int32Array;
  readonly right: Int32Array;
  /** Which of the row's keys a node reads. */
  readonly slot: Int32Array;
  readonly key: Int32Array;
  /** A word for each leaf: its value's float32 bits, or where its value is. */
  readonly leaf: Int32Array;
  readonly categories: ReadonlyMap<number, Int32Array> | null;
}

/**
 * All trees of a model in one flat array, four words per node:
 *
 * | word | inner node | leaf |
 * | --- | --- | --- |
 * | 0 | which of the row's keys | 0 |
 * | 1 | the node's key | the largest int32 |
 * | 2 | offset of the left child, the right one follows it | its own offset |
 * | 3 | 0, or 1 + offset of the category set | the leaf's word |
 *
 * Keys are int32 of the same order as the values that they stand for; each library's file says how they are made. A
 * leaf leads to itself, so that a walk needs no branch that depends on data and several walks can be interleaved.
 */
export interface TreeEnsemble {
  /** At least 1. */
  readonly keysPerRow: number;
  readonly outputs: number;
  /** What a key is at a split by category: the category itself, or a float32's key, whose fraction is cut off. */
  readonly categoryKeys: "integer" | "float32";
  readonly nodes: Int32Array;
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

/** The key of a missing value: beyond every node's key, so that the walk goes the way that its slot stands for. */
export const MISSING_RIGHT = 0x7ffffffe;
export const MISSING_LEFT = -0x80000000;
/** Walks of more steps than this end at their leaf instead of running to the depth of the deepest. */
export const MAX_INTERLEAVED_DEPTH = 12;
const MAX_CATEGORY_WORDS = 64 * 1024 * 1024;
const LEAF_KEY = 0x7fffffff;

/** Packs trees for evaluation. @throws MODEL_TOO_LARGE for category sets of more than 256 MB. */
export function packTrees(
  trees: readonly PackableTree[],
  treeOutputs: Int32Array,
  options: Pick<TreeEnsemble, "keysPerRow" | "outputs" | "categoryKeys">,
): TreeEnsemble {
  let nodeCount = 0;
  for (const tree of trees) nodeCount += tree.left.length;
  const nodes = new Int32Array(nodeCount * 4);
  const roots = new Int32Array(trees.length);
  const depths = new Int32Array(trees.length);
  const isCategorical = new Uint8Array(trees.length);
  const categoryWords: number[] = [];
  let end = 0;
  for (let t = 0; t < trees.length; t++) {
    const tree = trees[t]!;
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
        nodes[end + 3] = tree.leaf[node]!;
        continue;
      }
      nodes[end] = tree.slot[node]!;
      nodes[end + 1] = tree.key[node]!;
      nodes[end + 2] = next;
      const categories = tree.categories?.get(node);
      if (categories !== undefined) nodes[end + 3] = 1 + appendCategorySet(categoryWords, categories);
      queue.push(tree.left[node]!, tree.right[node]!);
      next += 8;
    }
    depths[t] = depth;
  }
  return {
    ...options,
    keysPerRow: Math.max(options.keysPerRow, 1),
    nodes: nodes.subarray(0, end),
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
