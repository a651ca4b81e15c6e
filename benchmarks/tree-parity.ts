import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import { loadLightgbmModel } from "../src/api/models/lightgbm-model.ts";
import { loadXgboostModel } from "../src/api/models/xgboost-model.ts";

const runFile = promisify(execFile);

/** A version of a library, with what it needs, in a virtual environment of its own. */
export interface TreeLibrary {
  readonly name: "xgboost" | "lightgbm";
  readonly version: string;
  readonly requirements: readonly string[];
}

export const TREE_LIBRARIES: readonly TreeLibrary[] = [
  { name: "xgboost", version: "3.2.0", requirements: ["xgboost==3.2.0", "numpy==2.4.6"] },
  { name: "xgboost", version: "2.1.4", requirements: ["xgboost==2.1.4", "numpy==1.26.4", "scipy==1.13.1"] },
  { name: "xgboost", version: "1.7.6", requirements: ["xgboost==1.7.6", "numpy==1.26.4", "scipy==1.13.1"] },
  { name: "lightgbm", version: "4.7.0", requirements: ["lightgbm==4.7.0", "numpy==2.4.6", "pandas==2.3.3"] },
  {
    name: "lightgbm",
    version: "3.3.5",
    requirements: ["lightgbm==3.3.5", "numpy==1.26.4", "scipy==1.13.1", "scikit-learn==1.5.2"],
  },
  {
    name: "lightgbm",
    version: "2.3.1",
    requirements: ["lightgbm==2.3.1", "numpy==1.26.4", "scipy==1.13.1", "scikit-learn==1.5.2"],
  },
];

/** What comparing one library's models gave. */
export interface TreeParity {
  readonly library: TreeLibrary;
  models: number;
  rows: number;
  /** Sums of the leaves, before the objective. */
  margins: number;
  marginsUnequal: number;
  /** Predictions. */
  outputs: number;
  outputsUnequal: number;
  /** The largest difference of any value, in units in the last place of a float32, and of a double. */
  maxFloatUlps: number;
  maxDoubleUlps: number;
  /** What the models have: objective, booster, missing values; and how many of each. */
  readonly traits: Map<string, number>;
  /** Models of which a value differs. */
  readonly differing: string[];
}

interface Entry {
  readonly file: string;
  readonly rows: number;
  readonly features: number;
  readonly objective: string;
  readonly booster: string;
  readonly missing?: string;
  readonly categorical: number;
  readonly best_iteration?: number;
}

type Numbers = Float32Array | Float64Array;

/** A file's two forms, margins and outputs, by row and by batch. */
interface Evaluated {
  readonly width: number;
  readonly row: (row: Numbers) => readonly number[];
  readonly batch: (rows: Numbers, count: number, features: number) => Numbers;
}

/**
 * Trains `count` random models with the library, lets it predict rows with missing, infinite, tiny, unknown and exact
 * threshold values, evaluates the same files and rows here, one by one and in batches, and compares.
 */
export async function compareTreeModels(library: TreeLibrary, count: number, seed: number): Promise<TreeParity> {
  const bin = pythonEnvironment(library.requirements);
  const folder = await mkdtemp(join(tmpdir(), "millrace-trees-"));
  try {
    const script = join(import.meta.dirname, `${library.name}_parity.py`);
    await runFile(join(bin, "python"), ["-W", "ignore", script, folder, String(count), String(seed)], {
      maxBuffer: 1 << 26,
    });
    const entries: Entry[] = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
    const parity: TreeParity = {
      library,
      models: 0,
      rows: 0,
      margins: 0,
      marginsUnequal: 0,
      outputs: 0,
      outputsUnequal: 0,
      maxFloatUlps: 0,
      maxDoubleUlps: 0,
      traits: new Map(),
      differing: [],
    };
    for (const entry of entries) await compareModel(parity, folder, entry);
    return parity;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compareModel(parity: TreeParity, folder: string, entry: Entry): Promise<void> {
  const path = join(folder, entry.file);
  const bytes = await readFile(path);
  const isDouble = parity.library.name === "lightgbm";
  const rows = await readNumbers(`${path}.rows`, isDouble);
  const before = parity.marginsUnequal + parity.outputsUnequal;
  for (const kind of ["margins", "outputs"] as const) {
    const model = load(parity.library.name, bytes, kind === "margins" ? "margin" : "transformed", "all");
    const expected = await readNumbers(`${path}.${kind}`, isDouble);
    compare(parity, kind, model.batch(rows, entry.rows, entry.features), expected);
    const single: number[] = [];
    for (let r = 0; r < entry.rows; r++) {
      single.push(...model.row(rows.subarray(r * entry.features, (r + 1) * entry.features)));
    }
    compare(parity, kind, isDouble ? Float64Array.from(single) : Float32Array.from(single), expected);
  }
  if (entry.best_iteration !== undefined) {
    const best = load(parity.library.name, bytes, "margin", "best");
    const expected = await readNumbers(`${path}.best`, isDouble);
    const count = expected.length / best.width;
    compare(parity, "margins", best.batch(rows.subarray(0, count * entry.features), count, entry.features), expected);
    countTrait(parity, "early stopping");
  }
  parity.models++;
  parity.rows += entry.rows;
  countTrait(parity, entry.objective);
  countTrait(parity, entry.booster);
  countTrait(parity, entry.file.slice(entry.file.lastIndexOf(".")));
  if (entry.missing !== undefined) countTrait(parity, `missing: ${entry.missing}`);
  if (entry.categorical > 0) countTrait(parity, "categorical splits");
  if (parity.marginsUnequal + parity.outputsUnequal > before) {
    parity.differing.push(`${entry.file} (${entry.objective}, ${entry.booster})`);
  }
}

function countTrait(parity: TreeParity, trait: string): void {
  parity.traits.set(trait, (parity.traits.get(trait) ?? 0) + 1);
}

function load(
  library: TreeLibrary["name"],
  bytes: Uint8Array,
  output: "margin" | "transformed",
  iterations: "all" | "best",
): Evaluated {
  if (library === "lightgbm") {
    const model = loadLightgbmModel(bytes, { output });
    return {
      width: model.outputWidth,
      row: (row) => model.predictRow(row as Float64Array),
      batch: (rows, count, features) => model.predictBatch(rows as Float64Array, count, features),
    };
  }
  const model = loadXgboostModel(bytes, { output, iterations });
  return {
    width: model.outputWidth,
    row: (row) => model.predictRow(row as Float32Array),
    batch: (rows, count, features) => model.predictBatch(rows as Float32Array, count, features),
  };
}

function compare(parity: TreeParity, kind: "margins" | "outputs", actual: Numbers, expected: Numbers): void {
  parity[kind] += expected.length;
  if (actual.length !== expected.length) {
    parity[`${kind}Unequal`] += expected.length;
    parity.maxFloatUlps = Number.POSITIVE_INFINITY;
    return;
  }
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i]!;
    const e = expected[i]!;
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    parity[`${kind}Unequal`]++;
    parity.maxFloatUlps = Math.max(parity.maxFloatUlps, floatsBetween(a, e));
    parity.maxDoubleUlps = Math.max(parity.maxDoubleUlps, doublesBetween(a, e));
  }
}

/** How many float32 values apart two numbers are, rounded to float32; both zeros are one. */
function floatsBetween(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.POSITIVE_INFINITY;
  const [x, y] = [...new Int32Array(Float32Array.of(a, b).buffer)].map((bits) =>
    bits < 0 ? -(bits & 0x7fffffff) : bits,
  );
  return Math.abs(x! - y!);
}

/** How many doubles apart two numbers are, both zeros being one. */
function doublesBetween(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.POSITIVE_INFINITY;
  const [x, y] = [...new BigInt64Array(Float64Array.of(a, b).buffer)].map((bits) =>
    bits < 0n ? -(bits & 0x7fffffffffffffffn) : bits,
  );
  return Math.abs(Number(x! - y!));
}

async function readNumbers(path: string, isDouble: boolean): Promise<Numbers> {
  const bytes = await readFile(path);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return isDouble ? new Float64Array(buffer) : new Float32Array(buffer);
}
