import { compareWithScikitLearn, type Difference } from "./transform-parity.ts";

/** `npm run accept -- transforms [CASES] [SEED]`: parity with scikit-learn, per transform, over random data sets. */
export async function run(args: readonly string[]): Promise<void> {
  const perTransform = Number(args[0] ?? 400);
  const seed = Number(args[1] ?? 7);
  const results = await compareWithScikitLearn(perTransform, seed);
  const total = results.reduce((sum, { cases }) => sum + cases, 0);
  console.log(
    `scikit-learn 1.9.1, ${total} cases, seed ${seed}; differences as absolute, relative, ulp, ulp of the column's largest`,
  );
  for (const result of results) {
    console.log(`\n${result.transform}: ${result.cases} cases, ${result.refused} refused by both`);
    print("fitted state", result.state);
    print("rows", result.rows);
    print("rows of its state", result.rowsOfItsState);
    print("training rows", result.trainingRows);
    if (result.likelihoodLost !== null) {
      console.log(`  log-likelihood of λ below scikit-learn's by at most ${result.likelihoodLost.toExponential(1)}`);
    }
    for (const [error, count] of result.onlyHere) console.log(`  refused by scikit-learn alone, ${count}: ${error}`);
    for (const mismatch of result.mismatches.slice(0, 5)) console.log(`  DIFFERS ${mismatch}`);
    if (result.mismatches.length > 5) console.log(`  DIFFERS ${result.mismatches.length - 5} more`);
  }
}

function print(what: string, { values, unequal, absolute, relative, ulp, columnUlp, worst }: Difference): void {
  if (values === 0) return;
  const figures = [absolute, relative, ulp, columnUlp].map((x) =>
    Number.isInteger(x) && x < 1e6 ? String(x) : x.toExponential(1),
  );
  console.log(
    `  ${what.padEnd(18)}${values} numbers, ${unequal} not bit-equal${unequal === 0 ? "" : `: ${figures.join(", ")}`}`,
  );
  if (columnUlp > 8) console.log(`    ${worst}`);
}
