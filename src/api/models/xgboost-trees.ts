import { asCount, asFloats, asIntegers, asObject, type DocumentObject, field } from "./model-document.ts";
import { corruptModel, modelError } from "./model-errors.ts";

/** One tree of a file: parallel arrays over its nodes, node 0 is the root, −1 in `left` marks a leaf. */
export interface XgboostTree {
  readonly left: Int32Array;
  readonly right: Int32Array;
  readonly feature: Int32Array;
  /** The threshold, of a leaf its value. */
  readonly condition: Float32Array;
  readonly defaultLeft: Int32Array;
  readonly categories: ReadonlyMap<number, Int32Array> | null;
}

/** More classes or targets than any model has; it bounds what a damaged file can make the loader allocate. */
export const MAX_OUTPUTS = 65_536;
/** XGBoost refuses larger category codes, since float32 could not tell them apart. */
const MAX_CATEGORY = 16_777_215;

/**
 * Reads the array `trees` of a model file, in the order of their ids, and checks that every walk ends.
 *
 * @throws MODEL_CORRUPT, or MODEL_UNSUPPORTED for trees with vector leaves.
 */
export function readXgboostTrees(items: ArrayLike<unknown>, featureCount: number): XgboostTree[] {
  const trees: (XgboostTree | undefined)[] = new Array(items.length);
  for (let i = 0; i < items.length; i++) {
    const tree = asObject(items[i], `trees[${i}]`);
    const id = asCount(field(tree, "id"), `trees[${i}].id`, items.length - 1, i);
    if (trees[id] !== undefined) throw corruptModel(`two trees have the id ${id}`);
    trees[id] = readTree(tree, `trees[${i}]`, featureCount);
  }
  return trees as XgboostTree[];
}

function readTree(tree: DocumentObject, place: string, featureCount: number): XgboostTree {
  const parameters = asObject(field(tree, "tree_param"), `${place}.tree_param`);
  if (asCount(field(parameters, "size_leaf_vector"), `${place}.size_leaf_vector`, MAX_OUTPUTS, 0) > 1) {
    throw modelError(
      "MODEL_UNSUPPORTED",
      "The model has trees with vector leaves (multi_strategy=multi_output_tree), which are not evaluated here. Train with multi_strategy=one_output_per_tree.",
    );
  }
  const nodes = asCount(field(parameters, "num_nodes"), `${place}.num_nodes`, 2 ** 31);
  const left = asIntegers(field(tree, "left_children"), `${place}.left_children`);
  const right = asIntegers(field(tree, "right_children"), `${place}.right_children`);
  const feature = asIntegers(field(tree, "split_indices"), `${place}.split_indices`);
  const condition = asFloats(field(tree, "split_conditions"), `${place}.split_conditions`);
  const defaultLeft = asIntegers(field(tree, "default_left"), `${place}.default_left`);
  for (const array of [left, right, feature, condition, defaultLeft]) {
    if (array.length !== nodes || nodes === 0)
      throw corruptModel(`${place} does not have num_nodes entries in each array`);
  }
  const result = { left, right, feature, condition, defaultLeft, categories: readSplitCategories(tree, place, nodes) };
  checkShape(result, place, featureCount);
  return result;
}

/** Every reachable node is reached once, so that a walk ends; splits name features that exist. */
function checkShape(tree: XgboostTree, place: string, featureCount: number): void {
  const seen = new Uint8Array(tree.left.length);
  const open = [0];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (seen[node] !== 0) throw corruptModel(`${place} reaches node ${node} twice`);
    seen[node] = 1;
    const left = tree.left[node]!;
    if (left === -1) continue;
    const right = tree.right[node]!;
    if (left < 0 || right < 0 || left >= seen.length || right >= seen.length) {
      throw corruptModel(`${place} has a child outside its nodes`);
    }
    if (tree.feature[node]! < 0 || tree.feature[node]! >= featureCount) {
      throw corruptModel(`${place} splits by a feature that does not exist`);
    }
    open.push(right, left);
  }
}

function readSplitCategories(tree: DocumentObject, place: string, nodes: number): Map<number, Int32Array> | null {
  if (field(tree, "split_type") === undefined) return null;
  const types = asIntegers(field(tree, "split_type"), `${place}.split_type`);
  if (types.length !== nodes) throw corruptModel(`${place}.split_type does not have num_nodes entries`);
  if (!types.includes(1)) return null;
  const owners = asIntegers(field(tree, "categories_nodes"), `${place}.categories_nodes`);
  const starts = asIntegers(field(tree, "categories_segments"), `${place}.categories_segments`);
  const sizes = asIntegers(field(tree, "categories_sizes"), `${place}.categories_sizes`);
  const categories = asIntegers(field(tree, "categories"), `${place}.categories`);
  if (starts.length !== owners.length || sizes.length !== owners.length) {
    throw corruptModel(`${place} has category arrays of different lengths`);
  }
  if (categories.some((category) => category < 0 || category > MAX_CATEGORY)) {
    throw corruptModel(`${place} has a category outside 0 to ${MAX_CATEGORY}`);
  }
  const byNode = new Map<number, Int32Array>();
  for (let i = 0; i < owners.length; i++) {
    const start = starts[i]!;
    const end = start + sizes[i]!;
    if (start < 0 || end <= start || end > categories.length) throw corruptModel(`${place} has a bad category segment`);
    byNode.set(owners[i]!, categories.subarray(start, end));
  }
  for (let node = 0; node < nodes; node++) {
    if (types[node] === 1 && !byNode.has(node)) throw corruptModel(`${place} lacks the categories of node ${node}`);
    if (types[node] !== 1) byNode.delete(node);
  }
  return byNode;
}
