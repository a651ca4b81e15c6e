import { millraceError } from "../src/definitions/errors.ts";
import { compareTreeModels, TREE_LIBRARIES, type TreeParity } from "./tree-parity.ts";

/** How many models of each version, in the order of `TREE_LIBRARIES`. */
const MODELS = [380, 60, 60, 340, 100, 60];
const SEED = 7;

/**
 * Trains up to 1,000 random models (some combinations a version refuses) with three versions each of XGBoost and LightGBM and compares what they predict with what
 * is evaluated here. Fails unless every sum of leaves is bit-equal and every prediction within 1 unit in the last place
 * of a float32. An argument divides the number of models.
 */
export async function run(args: readonly string[]): Promise<void> {
  const share = Number(args[0] ?? 1);
  const all: TreeParity[] = [];
  for (const [i, library] of TREE_LIBRARIES.entries()) {
    const parity = await compareTreeModels(library, Math.ceil(MODELS[i]! / share), SEED);
    all.push(parity);
    console.log(`${library.name} ${library.version}`);
    console.log(`  models                      ${parity.models}`);
    console.log(`  rows                        ${parity.rows}, each alone and in a batch`);
    for (const [trait, count] of [...parity.traits].sort()) console.log(`    ${trait.padEnd(26)}${count}`);
    console.log(`  sums compared               ${parity.margins}, not bit-equal ${parity.marginsUnequal}`);
    console.log(`  predictions compared        ${parity.outputs}, not bit-equal ${parity.outputsUnequal}`);
    console.log(`  largest difference          ${parity.maxFloatUlps} float32 ulp, ${parity.maxDoubleUlps} double ulp`);
    for (const model of parity.differing) console.log(`    differs: ${model}`);
  }
  const sum = (pick: (parity: TreeParity) => number): number => all.reduce((n, parity) => n + pick(parity), 0);
  const worst = Math.max(...all.map((parity) => parity.maxFloatUlps));
  console.log(`models                        ${sum((parity) => parity.models)}`);
  console.log(`rows                          ${sum((parity) => parity.rows)}`);
  console.log(
    `sums not bit-equal            ${sum((parity) => parity.marginsUnequal)} of ${sum((parity) => parity.margins)}`,
  );
  console.log(
    `predictions not bit-equal     ${sum((parity) => parity.outputsUnequal)} of ${sum((parity) => parity.outputs)}`,
  );
  console.log(`largest difference            ${worst} ulp of float32 (aim: 1)`);
  if (worst > 1 || sum((parity) => parity.marginsUnequal) > 0) {
    throw millraceError("PARITY_FAILED", "A prediction differs from the library's: the lines above say which.", {
      kind: "bug",
    });
  }
}
