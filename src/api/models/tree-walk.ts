import { MAX_INTERLEAVED_DEPTH, MISSING_RIGHT, type TreeEnsemble } from "./tree-ensemble.ts";

const CATEGORY_LIMIT = 16_777_216;

/** Writes for each tree the offset of the leaf that it sends one row to. */
export function findRowLeaves(ensemble: TreeEnsemble, keys: Int32Array, keyStart: number, leaves: Int32Array): void {
  const { nodes, roots, depths, startsQuad } = ensemble;
  for (let t = 0; t < roots.length; t++) {
    if (startsQuad[t] === 1) {
      let a = roots[t]!;
      let b = roots[t + 1]!;
      let c = roots[t + 2]!;
      let d = roots[t + 3]!;
      const steps = Math.max(depths[t]!, depths[t + 1]!, depths[t + 2]!, depths[t + 3]!);
      for (let i = 0; i < steps; i++) {
        a = nodes[a + 2]! + (Number(keys[keyStart + nodes[a]!]! >= nodes[a + 1]!) << 2);
        b = nodes[b + 2]! + (Number(keys[keyStart + nodes[b]!]! >= nodes[b + 1]!) << 2);
        c = nodes[c + 2]! + (Number(keys[keyStart + nodes[c]!]! >= nodes[c + 1]!) << 2);
        d = nodes[d + 2]! + (Number(keys[keyStart + nodes[d]!]! >= nodes[d + 1]!) << 2);
      }
      leaves[t] = a;
      leaves[t + 1] = b;
      leaves[t + 2] = c;
      leaves[t + 3] = d;
      t += 3;
    } else {
      leaves[t] = findLeaf(ensemble, t, keys, keyStart);
    }
  }
}

/** Writes for each of `rows` rows the offset of the leaf that tree `t` sends it to. */
export function findTreeLeaves(
  ensemble: TreeEnsemble,
  t: number,
  keys: Int32Array,
  rows: number,
  leaves: Int32Array,
): void {
  const { nodes, keysPerRow } = ensemble;
  const root = ensemble.roots[t]!;
  const steps = ensemble.depths[t]!;
  let row = 0;
  if (ensemble.isCategorical[t] === 0 && steps <= MAX_INTERLEAVED_DEPTH) {
    for (; row + 3 < rows; row += 4) {
      const keyA = row * keysPerRow;
      const keyB = keyA + keysPerRow;
      const keyC = keyB + keysPerRow;
      const keyD = keyC + keysPerRow;
      let a = root;
      let b = root;
      let c = root;
      let d = root;
      for (let i = 0; i < steps; i++) {
        a = nodes[a + 2]! + (Number(keys[keyA + nodes[a]!]! >= nodes[a + 1]!) << 2);
        b = nodes[b + 2]! + (Number(keys[keyB + nodes[b]!]! >= nodes[b + 1]!) << 2);
        c = nodes[c + 2]! + (Number(keys[keyC + nodes[c]!]! >= nodes[c + 1]!) << 2);
        d = nodes[d + 2]! + (Number(keys[keyD + nodes[d]!]! >= nodes[d + 1]!) << 2);
      }
      leaves[row] = a;
      leaves[row + 1] = b;
      leaves[row + 2] = c;
      leaves[row + 3] = d;
    }
  }
  for (; row < rows; row++) leaves[row] = findLeaf(ensemble, t, keys, row * keysPerRow);
}

/** The offset of the leaf that tree `t` sends a row to. */
function findLeaf(ensemble: TreeEnsemble, t: number, keys: Int32Array, keyStart: number): number {
  const { nodes } = ensemble;
  let node = ensemble.roots[t]!;
  if (ensemble.isCategorical[t] === 1) {
    while (nodes[node + 2] !== node) node = nodes[node + 2]! + (goesRight(ensemble, node, keys, keyStart) ? 4 : 0);
    return node;
  }
  for (;;) {
    const next = nodes[node + 2]! + (Number(keys[keyStart + nodes[node]!]! >= nodes[node + 1]!) << 2);
    if (next === node) return node;
    node = next;
  }
}

/**
 * A categorical split sends the categories of its set right. Missing values take the branch of their slot; negative
 * values and unknown categories are in no set and go left.
 */
function goesRight(ensemble: TreeEnsemble, node: number, keys: Int32Array, keyStart: number): boolean {
  const { nodes, categoryBits } = ensemble;
  const key = keys[keyStart + nodes[node]!]!;
  const set = nodes[node + 3]! - 1;
  if (set < 0) return key >= nodes[node + 1]!;
  if (key === MISSING_RIGHT) return true;
  if (key < 0) return false;
  let category = key;
  if (ensemble.categoryKeys === "float32") {
    bitsCell[0] = key;
    const value = floatCell[0]!;
    if (value >= CATEGORY_LIMIT) return false;
    category = Math.trunc(value);
  }
  const word = category >> 5;
  if (word >= categoryBits[set]!) return false;
  return ((categoryBits[set + 1 + word]! >>> (category & 31)) & 1) === 1;
}

const floatCell: Float32Array = new Float32Array(1);
const bitsCell: Int32Array = new Int32Array(floatCell.buffer);
