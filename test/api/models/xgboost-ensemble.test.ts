import fc from "fast-check";
import { expect, test } from "vitest";
import {
  addTreesToBlock,
  addTreesToRow,
  packXgboostTrees,
  writeRowKeys,
} from "../../../src/api/models/xgboost-ensemble.ts";
import type { XgboostTree } from "../../../src/api/models/xgboost-trees.ts";

const FEATURES = 3;
const SPECIAL = [0, -0, 1e-45, -1e-45, 1.5, -1.5, 3.4e38, -3.4e38, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
const value = fc.oneof(fc.constantFrom(...SPECIAL), fc.integer({ min: -2, max: 40 }), fc.float({ noNaN: true }));
const cell = fc.oneof({ weight: 5, arbitrary: value }, fc.constant(Number.NaN));

type Node =
  | { readonly leaf: number }
  | {
      readonly feature: number;
      readonly threshold: number;
      readonly defaultLeft: boolean;
      readonly categories: readonly number[] | null;
      readonly children: readonly [Node, Node];
    };

const categorySet: fc.Arbitrary<readonly number[] | null> = fc.option(
  fc.uniqueArray(fc.nat(40), { minLength: 1, maxLength: 5 }),
  { freq: 4 },
);

const { node } = fc.letrec<{ node: Node; split: Node }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 15, depthSize: "large" },
    fc.record({ leaf: fc.float({ noNaN: true, noDefaultInfinity: true, min: -10, max: 10 }) }),
    tie("split"),
  ),
  split: fc.record({
    feature: fc.integer({ min: 0, max: FEATURES - 1 }),
    threshold: value,
    defaultLeft: fc.boolean(),
    categories: categorySet,
    children: fc.tuple(tie("node"), tie("node")),
  }),
}));

function flatten(root: Node): XgboostTree {
  const nodes: Node[] = [root];
  const left: number[] = [];
  const right: number[] = [];
  for (let i = 0; i < nodes.length; i++) {
    const current = nodes[i]!;
    left.push("leaf" in current ? -1 : nodes.length);
    right.push("leaf" in current ? -1 : nodes.length + 1);
    if (!("leaf" in current)) nodes.push(...current.children);
  }
  const categories = new Map<number, Int32Array>();
  for (const [i, n] of nodes.entries())
    if (!("leaf" in n) && n.categories !== null) categories.set(i, Int32Array.from(n.categories));
  return {
    left: Int32Array.from(left),
    right: Int32Array.from(right),
    feature: Int32Array.from(nodes, (n) => ("leaf" in n ? 0 : n.feature)),
    condition: Float32Array.from(nodes, (n) => ("leaf" in n ? n.leaf : n.threshold)),
    defaultLeft: Int32Array.from(nodes, (n) => ("leaf" in n ? 0 : Number(n.defaultLeft))),
    categories: categories.size === 0 ? null : categories,
  };
}

/** The rule as XGBoost's documentation states it, by recursion. */
function oracle(tree: Node, row: Float32Array): number {
  if ("leaf" in tree) return Math.fround(tree.leaf);
  const x = row[tree.feature]!;
  let isLeft = tree.defaultLeft;
  if (!Number.isNaN(x)) {
    isLeft =
      tree.categories === null ? x < Math.fround(tree.threshold) : x < 0 || !tree.categories.includes(Math.trunc(x));
  }
  return oracle(tree.children[isLeft ? 0 : 1], row);
}

test("row by row and in blocks, packed trees give the sums of a plain recursive walk", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(node, fc.nat(1)), { minLength: 1, maxLength: 7 }),
      fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 9 }),
      (trees, rows) => {
        const ensemble = packXgboostTrees(
          trees.map(([tree]) => flatten(tree)),
          Int32Array.from(trees, ([, output]) => output),
          { featureCount: FEATURES, outputs: 2, treeWeights: null },
        );
        const matrix = Float32Array.from(rows.flat());
        const expected = new Float32Array(rows.length * 2);
        for (let r = 0; r < rows.length; r++) {
          const row = matrix.subarray(r * FEATURES, (r + 1) * FEATURES);
          for (const [tree, output] of trees) expected[2 * r + output]! += oracle(tree, row);
        }
        const stride = ensemble.keysPerRow;
        const leaves = new Int32Array(16);
        const keys = new Int32Array(stride * rows.length);
        for (let r = 0; r < rows.length; r++)
          writeRowKeys(new Int32Array(matrix.buffer), r * FEATURES, FEATURES, keys, r * stride);
        const single = new Float32Array(expected.length);
        for (let r = 0; r < rows.length; r++) addTreesToRow(ensemble, keys, r * stride, leaves, single, 2 * r);
        const block = new Float32Array(expected.length);
        addTreesToBlock(ensemble, keys, rows.length, leaves, block, 0);
        expect(single).toEqual(expected);
        expect(block).toEqual(expected);
      },
    ),
    { numRuns: 1000 },
  );
});
