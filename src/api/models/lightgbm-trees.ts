import { corruptModel, modelError } from "./model-errors.ts";

/**
 * One tree of a file: parallel arrays over its nodes. The splits come first, node 0 is the root, then the leaves;
 * −1 in `left` marks a leaf.
 */
export interface LightgbmTree {
  readonly left: Int32Array;
  readonly right: Int32Array;
  /** Of a split; 0 for leaves. */
  readonly feature: Int32Array;
  /** Of a split: its threshold. Of a leaf: its value. */
  readonly number: Float64Array;
  /** Bit 0: by category; bit 1: missing values go left; bits 2 and 3: a {@link MISSING} kind. */
  readonly decision: Int32Array;
  /** For a split by category those that go left; null when there is none. */
  readonly categories: ReadonlyMap<number, Int32Array> | null;
}

/** What a split takes for a missing value: nothing (NaN is 0), 0 and NaN, or NaN. */
export const MISSING: { readonly NONE: 0; readonly ZERO: 1; readonly NAN: 2 } = { NONE: 0, ZERO: 1, NAN: 2 };

const MAX_LEAVES = 2 ** 26;
/** Bits of one tree's category sets, all together: more than the largest model has. */
const MAX_CATEGORIES = 2 ** 24;

/**
 * Reads the section of one tree and checks that every walk ends.
 *
 * @throws MODEL_CORRUPT, or MODEL_UNSUPPORTED for a linear tree.
 */
export function readLightgbmTree(
  section: ReadonlyMap<string, string>,
  place: string,
  featureCount: number,
): LightgbmTree {
  if ((section.get("is_linear") ?? "0") !== "0") {
    throw modelError(
      "MODEL_UNSUPPORTED",
      "The model has linear trees (linear_tree=true), which are not evaluated here. Train with linear_tree=false.",
    );
  }
  const leaves = readNumbers(section, "num_leaves", place, 1)[0]!;
  if (!Number.isInteger(leaves) || leaves < 1 || leaves > MAX_LEAVES) {
    throw corruptModel(`${place} has ${leaves} leaves`);
  }
  const splits = leaves - 1;
  const values = readNumbers(section, "leaf_value", place, leaves);
  const nodes = splits + leaves;
  const tree = {
    left: new Int32Array(nodes).fill(-1),
    right: new Int32Array(nodes).fill(-1),
    feature: new Int32Array(nodes),
    number: new Float64Array(nodes),
    decision: new Int32Array(nodes),
    categories: null,
  };
  tree.number.set(values, splits);
  if (splits === 0) return tree;
  tree.number.set(readNumbers(section, "threshold", place, splits));
  tree.feature.set(readIntegers(section, "split_feature", place, splits, 0, featureCount - 1));
  tree.decision.set(readIntegers(section, "decision_type", place, splits, 0, 15));
  for (const side of ["left", "right"] as const) {
    const children = readIntegers(section, `${side}_child`, place, splits, -leaves, splits - 1);
    // A leaf is written as its complement: −1 is the first one.
    for (let i = 0; i < splits; i++) tree[side][i] = children[i]! < 0 ? splits + ~children[i]! : children[i]!;
  }
  checkShape(tree, splits, place);
  return { ...tree, categories: readCategories(section, tree, splits, place) };
}

/** Every node is reached exactly once, so that a walk ends. */
function checkShape(tree: Pick<LightgbmTree, "left" | "right" | "number">, splits: number, place: string): void {
  const seen = new Uint8Array(tree.left.length);
  const open = [0];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (seen[node] !== 0) throw corruptModel(`${place} reaches node ${node} twice`);
    seen[node] = 1;
    if (node < splits) open.push(tree.right[node]!, tree.left[node]!);
  }
  if (seen.includes(0)) throw corruptModel(`${place} has a node that nothing leads to`);
  for (let i = 0; i < splits; i++) {
    if (Number.isNaN(tree.number[i])) throw corruptModel(`${place} has a threshold that is not a number`);
  }
}

function readCategories(
  section: ReadonlyMap<string, string>,
  tree: Pick<LightgbmTree, "number" | "decision">,
  splits: number,
  place: string,
): ReadonlyMap<number, Int32Array> | null {
  let starts: Int32Array | null = null;
  let words: readonly number[] = [];
  const byNode = new Map<number, Int32Array>();
  let total = 0;
  for (let node = 0; node < splits; node++) {
    if ((tree.decision[node]! & 1) === 0) continue;
    if (starts === null) {
      const sets = readNumbers(section, "num_cat", place, 1)[0]!;
      if (!Number.isInteger(sets) || sets < 1 || sets > splits) throw corruptModel(`${place}.num_cat is ${sets}`);
      words = splitNumbers(section, "cat_threshold", place);
      starts = readIntegers(section, "cat_boundaries", place, sets + 1, 0, words.length);
    }
    const set = tree.number[node]!;
    const from = starts[set];
    const to = starts[set + 1];
    if (from === undefined || to === undefined || from > to) throw corruptModel(`${place} has a bad category set`);
    const categories: number[] = [];
    for (let i = from; i < to; i++) {
      const word = words[i]!;
      if (!Number.isInteger(word) || word < 0 || word >= 2 ** 32) throw corruptModel(`${place} has a bad category set`);
      for (let bit = 0; bit < 32; bit++) if (((word >>> bit) & 1) === 1) categories.push((i - from) * 32 + bit);
    }
    total += categories.length;
    if (total > MAX_CATEGORIES) throw corruptModel(`${place} has more than ${MAX_CATEGORIES} categories`);
    byNode.set(node, Int32Array.from(categories));
  }
  return byNode.size === 0 ? null : byNode;
}

const SPECIAL: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  "-nan": Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  "-inf": Number.NEGATIVE_INFINITY,
};

function splitNumbers(section: ReadonlyMap<string, string>, key: string, place: string): readonly number[] {
  const text = section.get(key);
  if (text === undefined || text === "") throw corruptModel(`${place} lacks ${key}`);
  return text.split(" ").map((word) => {
    const number = SPECIAL[word] ?? (/^[-+\d.eE]+$/.test(word) ? Number(word) : Number.NaN);
    if (Number.isNaN(number) && !Object.hasOwn(SPECIAL, word)) throw corruptModel(`${place}.${key} holds no number`);
    return number;
  });
}

function readNumbers(
  section: ReadonlyMap<string, string>,
  key: string,
  place: string,
  count: number,
): readonly number[] {
  const numbers = splitNumbers(section, key, place);
  if (numbers.length !== count) throw corruptModel(`${place}.${key} has ${numbers.length} values, not ${count}`);
  return numbers;
}

function readIntegers(
  section: ReadonlyMap<string, string>,
  key: string,
  place: string,
  count: number,
  min: number,
  max: number,
): Int32Array {
  return Int32Array.from(readNumbers(section, key, place, count), (number) => {
    if (Number.isInteger(number) && number >= min && number <= max) return number;
    throw corruptModel(`${place}.${key} holds ${number}, outside ${min} to ${max}`);
  });
}
