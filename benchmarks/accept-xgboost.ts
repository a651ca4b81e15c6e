import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { loadXgboostModel, type XgboostModel } from "../src/api/models/xgboost-model.ts";
import { millraceError } from "../src/definitions/errors.ts";

const runFile = promisify(execFile);

/** The libraries that train the models and predict with them, each in a virtual environment of its own. */
const LIBRARIES = [
  { name: "venv-xgboost", models: 160, packages: ["xgboost==3.2.0", "numpy==2.4.6"] },
  { name: "venv-xgboost-2", models: 20, packages: ["xgboost==2.1.4", "numpy==1.26.4", "scipy==1.13.1"] },
  { name: "venv-xgboost-1", models: 20, packages: ["xgboost==1.7.6", "numpy==1.26.4", "scipy==1.13.1"] },
] as const;

interface Entry {
  readonly file: string;
  readonly version: string;
  readonly rows: number;
  readonly features: number;
  readonly objective: string;
  readonly booster: string;
  readonly categorical: number;
  readonly trees: number;
  readonly best_iteration?: number;
}

/** Differences found so far: over values, in units in the last place of a float32. */
interface Tally {
  models: number;
  rows: number;
  values: number;
  unequal: number;
  maxUlps: number;
}

const newTally = (): Tally => ({ models: 0, rows: 0, values: 0, unequal: 0, maxUlps: 0 });

/** A float32's place in the order of all float32 values; both zeros share one. */
function place(value: number): number {
  const bits = new Int32Array(Float32Array.of(value).buffer)[0]!;
  return bits < 0 ? -(bits & 0x7fffffff) : bits;
}

function compare(tally: Tally, actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) {
    throw millraceError(
      "PARITY_FAILED",
      `${actual.length} values were predicted where XGBoost gives ${expected.length}.`,
      {
        kind: "bug",
      },
    );
  }
  let worst = 0;
  for (let i = 0; i < actual.length; i++) {
    const a = actual[i]!;
    const e = expected[i]!;
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    tally.unequal++;
    const ulps = Number.isNaN(a) || Number.isNaN(e) ? Number.POSITIVE_INFINITY : Math.abs(place(a) - place(e));
    worst = Math.max(worst, ulps);
  }
  tally.values += actual.length;
  tally.maxUlps = Math.max(tally.maxUlps, worst);
  return worst;
}

async function readFloats(path: string): Promise<Float32Array> {
  const bytes = await readFile(path);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** The rows one by one, as an online request predicts them. */
function predictRows(model: XgboostModel, rows: Float32Array, features: number): Float32Array {
  const answers: number[] = [];
  for (let start = 0; start < rows.length; start += features) {
    for (const value of model.predictRow(rows.subarray(start, start + features))) answers.push(value);
  }
  return Float32Array.from(answers);
}

async function python(venv: string, packages: readonly string[]): Promise<string> {
  const executable = join(venv, "bin", "python");
  if (!existsSync(executable)) await runFile(process.env.MILLRACE_PYTHON ?? "python3", ["-m", "venv", venv]);
  await runFile(executable, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...packages]);
  return executable;
}

/**
 * Trains 200 random models with XGBoost 3.2, 2.1 and 1.7, lets XGBoost predict rows with missing, infinite and exact
 * threshold values, evaluates the same files and rows here, one by one and in batches, and prints the differences.
 * Fails unless every margin is bit-equal and every transformed output within 1 unit in the last place.
 */
export async function run(): Promise<void> {
  const home = resolve(".millrace");
  const margins = newTally();
  const outputs = newTally();
  const seen = new Map<string, number>();
  for (const library of LIBRARIES) {
    const executable = await python(join(home, library.name), library.packages);
    const folder = join(home, "parity", library.name);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const script = join("benchmarks", "xgboost_parity.py");
    await runFile(executable, ["-W", "ignore", script, folder, String(library.models), "7"], { maxBuffer: 1 << 26 });
    const entries: Entry[] = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
    for (const entry of entries) {
      const path = join(folder, entry.file);
      const bytes = await readFile(path);
      const rows = await readFloats(`${path}.rows`);
      const model = loadXgboostModel(bytes);
      const raw = loadXgboostModel(bytes, { output: "margin" });
      const expectedMargins = await readFloats(`${path}.margins`);
      const expectedOutputs = await readFloats(`${path}.outputs`);
      const worst = Math.max(
        compare(margins, raw.predictBatch(rows, entry.rows, entry.features), expectedMargins),
        compare(margins, predictRows(raw, rows, entry.features), expectedMargins),
        compare(outputs, model.predictBatch(rows, entry.rows, entry.features), expectedOutputs),
        compare(outputs, predictRows(model, rows, entry.features), expectedOutputs),
      );
      if (entry.best_iteration !== undefined) {
        const best = loadXgboostModel(bytes, { output: "margin", iterations: "best" });
        const expected = await readFloats(`${path}.best`);
        const count = expected.length / best.outputWidth;
        compare(margins, best.predictBatch(rows.subarray(0, count * entry.features), count, entry.features), expected);
        seen.set("early stopping", (seen.get("early stopping") ?? 0) + 1);
      }
      margins.models++;
      margins.rows += entry.rows;
      const extension = entry.file.slice(entry.file.lastIndexOf("."));
      const traits = [entry.objective, entry.booster, extension, `written by ${entry.version}`];
      if (entry.categorical > 0) traits.push("categorical splits");
      for (const trait of traits) seen.set(trait, (seen.get(trait) ?? 0) + 1);
      if (worst > 0) console.log(`${library.name}/${entry.file}: ${entry.objective}, ${worst} ulp`);
    }
  }
  console.log(`models                        ${margins.models}`);
  console.log(`rows                          ${margins.rows}, each alone and in a batch`);
  for (const [trait, count] of [...seen].sort()) console.log(`  ${trait.padEnd(28)}${count}`);
  console.log(`margins compared              ${margins.values}`);
  console.log(`  not bit-equal               ${margins.unequal}, largest difference ${margins.maxUlps} ulp`);
  console.log(`transformed outputs compared  ${outputs.values}`);
  console.log(`  not bit-equal               ${outputs.unequal}, largest difference ${outputs.maxUlps} ulp`);
  if (margins.unequal > 0 || outputs.maxUlps > 1) {
    throw millraceError(
      "PARITY_FAILED",
      "The tree evaluator's predictions differ from XGBoost's; see the list above.",
      {
        kind: "bug",
      },
    );
  }
}
