import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import { isMillraceError, millraceError } from "../src/definitions/errors.ts";
import { type FeatureService, featureService } from "../src/definitions/index.ts";
import { Meta } from "../src/definitions/meta.ts";
import type { Value } from "../src/definitions/value.ts";
import { compileRow } from "../src/feature_engineering/transforms/compile-row.ts";
import type { FittedState, FittedTransform } from "../src/feature_engineering/transforms/fitted-state.ts";
import { fitRows } from "../src/feature_engineering/transforms/fitter.ts";
import { declare, type ParityCase, parityCases } from "./transform-cases.ts";

const PACKAGES = ["scikit-learn==1.9.1", "scipy==1.17.1", "numpy==2.4.6"];

interface Answer {
  readonly error?: string;
  readonly state: (Record<string, unknown> & { readonly kind: string }) | null;
  readonly rows: readonly (readonly unknown[])[];
  readonly training?: readonly (readonly unknown[])[] | null;
  readonly likelihood_lost?: number | string | null;
}

/** The largest differences of numbers that were compared in pairs. */
export interface Difference {
  values: number;
  unequal: number;
  absolute: number;
  relative: number;
  /** In units in the last place of the number itself. */
  ulp: number;
  /** In units in the last place of the largest number of its column, where cancellation does not show. */
  columnUlp: number;
  /** What the largest difference belongs to. */
  worst: string;
}

export interface TransformParity {
  readonly transform: string;
  cases: number;
  /** Refused by both. */
  refused: number;
  /** Refused by scikit-learn alone, and what is done here instead, with how often. */
  readonly onlyHere: Map<string, number>;
  /** What is not a number and should be equal, but is not. */
  readonly mismatches: string[];
  readonly state: Difference;
  readonly rows: Difference;
  /** The rows made with scikit-learn's own fitted state. */
  readonly rowsOfItsState: Difference;
  readonly trainingRows: Difference;
  /** Of power transforms: the most log-likelihood that λ has below scikit-learn's. */
  likelihoodLost: number | null;
}

const none = (): Difference => ({ values: 0, unequal: 0, absolute: 0, relative: 0, ulp: 0, columnUlp: 0, worst: "" });

/** Runs scikit-learn and the transforms here on the same random cases and compares what they fit and what they make. */
export async function compareWithScikitLearn(perTransform: number, seed: number): Promise<TransformParity[]> {
  const cases = parityCases(perTransform, seed);
  const here: Ours[] = [];
  for (const parityCase of cases) here.push(await runHere(parityCase));
  const answers = runScikitLearn(cases, here);
  const results = new Map<string, TransformParity>();
  for (const [index, parityCase] of cases.entries()) {
    const transform = groupOf(parityCase);
    let result = results.get(transform);
    if (result === undefined) {
      const differences = { state: none(), rows: none(), rowsOfItsState: none(), trainingRows: none() };
      result = {
        transform,
        cases: 0,
        refused: 0,
        onlyHere: new Map(),
        mismatches: [],
        likelihoodLost: null,
        ...differences,
      };
      results.set(transform, result);
    }
    compareCase(result, parityCase, here[index]!, answers[index]!);
  }
  return [...results.values()];
}

/** Data on which the likelihood of a power transform, or the distances of k-means, drown in rounding errors. */
const HARD = new Set(["far from 0", "nearly constant", "constant", "tiny", "large", "below 1e-15", "many scales"]);

function groupOf({ transform, parameters, data, fit }: ParityCase): string {
  if (transform !== "power" && transform !== "k_bins") return transform;
  const name = `${transform} ${String(parameters.method ?? parameters.strategy)}`;
  const hard = HARD.has(data) || (transform === "k_bins" && data === "outliers") || new Set(fit).size < 10;
  const iterates = transform === "power" || parameters.strategy === "kmeans";
  return iterates && hard ? `${name}, ill-conditioned` : name;
}

function runScikitLearn(cases: readonly ParityCase[], here: readonly Ours[]): Answer[] {
  const bin = pythonEnvironment(PACKAGES);
  const folder = mkdtempSync(join(tmpdir(), "millrace-parity-"));
  try {
    writeFileSync(
      join(folder, "cases"),
      cases.map((parityCase, index) => `${JSON.stringify(asked(parityCase, here[index]!))}\n`).join(""),
    );
    const script = join(import.meta.dirname, "scikit_learn_parity.py");
    const result = spawnSync(join(bin, "python"), [script, join(folder, "cases"), join(folder, "answers")], {
      encoding: "utf8",
      env: { ...process.env, OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1" },
    });
    if (result.status !== 0) {
      throw millraceError("PARITY_FAILED", `scikit-learn's script failed: ${result.stderr.slice(-2_000)}`, {
        kind: "bug",
      });
    }
    return readFileSync(join(folder, "answers"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Answer);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A case as it is sent, with the λ that was found here. */
function asked(parityCase: ParityCase, { state }: Ours): ParityCase {
  if (parityCase.transform !== "power") return parityCase;
  const lambda = state?.kind === "power" ? state.lambda : null;
  return { ...parityCase, parameters: { ...parityCase.parameters, lambda } };
}

interface Ours {
  readonly error?: string;
  readonly state: FittedTransform | null;
  readonly rows: readonly Value[][];
  readonly rowsOf: (state: FittedTransform) => Value[][];
  readonly trainingRows: Value[][];
}

async function runHere({ fit, apply, labels, ...rest }: ParityCase): Promise<Ours> {
  const features = { y: declare({ fit, apply, ...rest }) };
  const service = featureService("parity", { features } as never) as FeatureService<object, object>;
  const compiled = compileRow(service[Meta]);
  const empty: Ours = { state: null, rows: [], rowsOf: () => [], trainingRows: [] };
  try {
    const rows = fit.map((value, index) => ({ inputs: [value], labels: [labels?.[index] ?? null] }));
    const fitter = await fitRows(compiled, () => rows);
    const state: FittedState = fitter.finish();
    const make = compiled.bind(state);
    const id = Object.keys(state.transforms)[0];
    const training = fitter.trainingRows();
    return {
      state: id === undefined ? null : state.transforms[id]!,
      rows: apply.map((value) => make([value])),
      rowsOf: (other) => {
        const its = compiled.bind({ ...state, transforms: { [id!]: other } });
        return apply.map((value) => its([value]));
      },
      trainingRows: fit.map((value, index) => training([value], index)),
    };
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return { ...empty, error: error.code };
  }
}

function compareCase(result: TransformParity, parityCase: ParityCase, ours: Ours, theirs: Answer): void {
  const where = `${parityCase.data}, ${parityCase.fit.length} rows, ${JSON.stringify(parityCase.parameters).slice(0, 160)}`;
  result.cases++;
  if (theirs.error !== undefined) {
    if (ours.error !== undefined) result.refused++;
    else {
      const what = theirs.error.slice(0, 110);
      result.onlyHere.set(what, (result.onlyHere.get(what) ?? 0) + 1);
    }
    return;
  }
  if (ours.error !== undefined) {
    result.mismatches.push(`${where}: refused here alone, ${ours.error}`);
    return;
  }
  const numbers = (list: readonly unknown[]): unknown[] =>
    list.map((x) => (x === "Infinity" || x === "-Infinity" ? null : x));
  if (theirs.state !== null && ours.state !== null) compareState(result, ours.state, theirs.state, parityCase, where);
  if (typeof theirs.likelihood_lost === "number") {
    result.likelihoodLost = Math.max(result.likelihoodLost ?? Number.NEGATIVE_INFINITY, theirs.likelihood_lost);
  }
  const rows = theirs.rows.map(numbers);
  compareRows(result, "rows", ours.rows, rows, where);
  // Without a state here there was nothing to learn.
  if (theirs.state !== null && ours.state !== null) {
    let itsRows: Value[][] | null = null;
    try {
      itsRows = ours.rowsOf(theirs.state as unknown as FittedTransform);
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      result.mismatches.push(`${where}: its state is refused here, ${JSON.stringify(theirs.state).slice(0, 200)}`);
    }
    if (itsRows !== null) compareRows(result, "rowsOfItsState", itsRows, rows, where);
  }
  if (theirs.training) compareRows(result, "trainingRows", ours.trainingRows, theirs.training.map(numbers), where);
}

function compareState(
  result: TransformParity,
  ours: FittedTransform,
  theirs: Record<string, unknown>,
  { transform, fit }: ParityCase,
  where: string,
): void {
  // What is learned of numbers has their unit, but for an exponent.
  const scale = transform === "power" ? 0 : Math.max(0, ...fit.map((x) => (typeof x === "number" ? Math.abs(x) : 0)));
  for (const [name, its] of Object.entries(theirs)) {
    const own = (ours as unknown as Record<string, unknown>)[name];
    const pairs = pairUp(own, its);
    if (pairs === null) {
      result.mismatches.push(
        `${where}: ${name} is ${JSON.stringify(own)?.slice(0, 150)}, in scikit-learn ${JSON.stringify(its).slice(0, 150)}`,
      );
      continue;
    }
    const largest = Math.max(...pairs.map(([a, b]) => Math.max(Math.abs(a), Math.abs(b))), scale);
    for (const [a, b] of pairs) compareNumbers(result.state, a, b, largest, `${name}: ${where}`);
  }
}

/** The numbers of two equal structures in pairs; null if anything else differs. */
function pairUp(a: unknown, b: unknown): [number, number][] | null {
  if (typeof a === "number" && typeof b === "number") return [[a, b]];
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b ? [] : null;
  if (a.length !== b.length) return null;
  const pairs: [number, number][] = [];
  for (const [index, item] of a.entries()) {
    const inner = pairUp(item, b[index]);
    if (inner === null) return null;
    pairs.push(...inner);
  }
  return pairs;
}

function compareRows(
  result: TransformParity,
  part: "rows" | "rowsOfItsState" | "trainingRows",
  ours: readonly (readonly unknown[])[],
  theirs: readonly (readonly unknown[])[],
  where: string,
): void {
  // A class of the label that scikit-learn never saw has no column there.
  if (ours.length !== theirs.length || (ours[0]?.length ?? 0) !== (theirs[0]?.length ?? 0)) {
    result.mismatches.push(`${where}: ${part} have ${ours[0]?.length} columns, in scikit-learn ${theirs[0]?.length}`);
    return;
  }
  const width = ours[0]?.length ?? 0;
  for (let column = 0; column < width; column++) {
    const largest = ours.reduce((most, row) => Math.max(most, Math.abs(Number(row[column] ?? 0))), 0);
    for (const [index, row] of ours.entries()) {
      const a = row[column];
      const b = theirs[index]![column];
      if (typeof a === "number" && typeof b === "number") compareNumbers(result[part], a, b, largest, where);
      else if (a !== b && result.mismatches.length < 50)
        result.mismatches.push(`${where}: ${part} give ${String(a)}, in scikit-learn ${String(b)}`);
    }
  }
}

function compareNumbers(difference: Difference, a: number, b: number, largest: number, where: string): void {
  difference.values++;
  if (a === b) return;
  difference.unequal++;
  const absolute = Math.abs(a - b);
  const relative = absolute / Math.max(Math.abs(a), Math.abs(b));
  difference.absolute = Math.max(difference.absolute, absolute);
  difference.relative = Math.max(difference.relative, relative);
  difference.ulp = Math.max(difference.ulp, ulps(a, b));
  const inColumn = absolute / ulpOf(Math.max(largest, Math.abs(b)));
  if (inColumn <= difference.columnUlp) return;
  difference.columnUlp = inColumn;
  difference.worst = `${a} and ${b}: ${where}`;
}

/** The distance of two doubles in the order of all doubles. */
function ulps(a: number, b: number): number {
  const place = (x: number): bigint => {
    const bits = new BigInt64Array(Float64Array.of(x).buffer)[0]!;
    return bits < 0n ? -(bits & 0x7fffffffffffffffn) : bits;
  };
  return Math.abs(Number(place(a) - place(b)));
}

function ulpOf(x: number): number {
  if (x === 0) return Number.MIN_VALUE;
  return Math.max(2 ** (Math.floor(Math.log2(x)) - 52), Number.MIN_VALUE);
}
