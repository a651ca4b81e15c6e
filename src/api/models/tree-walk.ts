import { MAX_INTERLEAVED_DEPTH, type TreeEnsemble } from "./tree-ensemble.ts";

/** Keys of a missing value: beyond every threshold, so that the walk takes the default branch. */
const MISSING_RIGHT = 0x7ffffffe;
const MISSING_LEFT = -0x80000000;
const CATEGORY_LIMIT = 16_777_216;

/** How many int32 keys a row has: one per feature for splits whose default is right, one for those whose is left. */
export function keysPerRow(ensemble: TreeEnsemble): number {
  return Math.max(2 * ensemble.featureCount, 1);
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

/** Adds every tree's leaf for one row to its margins, in the trees' order and in float32. */
export function addTreesToRow(
  ensemble: TreeEnsemble,
  keys: Int32Array,
  keyStart: number,
  margins: Float32Array,
  marginStart: number,
): void {
  const { nodes, values, roots, depths, treeOutputs, startsQuad } = ensemble;
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
      margins[marginStart + treeOutputs[t]!]! += values[a + 3]!;
      margins[marginStart + treeOutputs[t + 1]!]! += values[b + 3]!;
      margins[marginStart + treeOutputs[t + 2]!]! += values[c + 3]!;
      margins[marginStart + treeOutputs[t + 3]!]! += values[d + 3]!;
      t += 3;
    } else {
      margins[marginStart + treeOutputs[t]!]! += values[findLeaf(ensemble, t, keys, keyStart) + 3]!;
    }
  }
}

/** Adds every tree's leaf for a block of rows, tree by tree, so that a tree stays in the cache for the block. */
export function addTreesToBlock(
  ensemble: TreeEnsemble,
  keys: Int32Array,
  rows: number,
  margins: Float32Array,
  marginStart: number,
): void {
  const { nodes, values, roots, depths, treeOutputs, isCategorical, outputs } = ensemble;
  const stride = keysPerRow(ensemble);
  for (let t = 0; t < roots.length; t++) {
    const root = roots[t]!;
    const steps = depths[t]!;
    let margin = marginStart + treeOutputs[t]!;
    let row = 0;
    if (isCategorical[t] === 0 && steps <= MAX_INTERLEAVED_DEPTH) {
      for (; row + 3 < rows; row += 4) {
        const keyA = row * stride;
        const keyB = keyA + stride;
        const keyC = keyB + stride;
        const keyD = keyC + stride;
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
        margins[margin]! += values[a + 3]!;
        margins[margin + outputs]! += values[b + 3]!;
        margins[margin + 2 * outputs]! += values[c + 3]!;
        margins[margin + 3 * outputs]! += values[d + 3]!;
        margin += 4 * outputs;
      }
    }
    for (; row < rows; row++, margin += outputs) {
      margins[margin]! += values[findLeaf(ensemble, t, keys, row * stride) + 3]!;
    }
  }
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
 * A categorical split sends the categories of its set right. Missing values take the default branch; negative values
 * and unknown categories are in no set and go left; fractions are cut off.
 */
function goesRight(ensemble: TreeEnsemble, node: number, keys: Int32Array, keyStart: number): boolean {
  const { nodes, categoryBits } = ensemble;
  const key = keys[keyStart + nodes[node]!]!;
  const set = nodes[node + 3]! - 1;
  if (set < 0) return key >= nodes[node + 1]!;
  if (key === MISSING_RIGHT) return true;
  if (key < 0) return false;
  bitsCell[0] = key;
  const value = floatCell[0]!;
  if (value >= CATEGORY_LIMIT) return false;
  const category = Math.trunc(value);
  const word = category >> 5;
  if (word >= categoryBits[set]!) return false;
  return ((categoryBits[set + 1 + word]! >>> (category & 31)) & 1) === 1;
}

const floatCell: Float32Array = new Float32Array(1);
const bitsCell: Int32Array = new Int32Array(floatCell.buffer);
