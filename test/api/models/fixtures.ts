import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Where the committed models live; `benchmarks/xgboost_parity.py --small` made those of the folders `xgboost-*`. */
export const FIXTURES: string = join(import.meta.dirname, "fixtures");

/** A model file with rows, and the library's own predictions for them in its precision. */
export interface TreeFixture<Floats extends Float32Array | Float64Array> {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly objective: string;
  readonly features: number;
  readonly rowCount: number;
  readonly rows: Floats;
  readonly margins: Floats;
  readonly outputs: Floats;
}

export type XgboostFixture = TreeFixture<Float32Array>;
export type LightgbmFixture = TreeFixture<Float64Array>;

interface Entry {
  readonly file: string;
  readonly objective: string;
  readonly features: number;
  readonly rows: readonly string[];
  readonly margins: readonly string[];
  readonly outputs: readonly string[];
}

function parseFloats(texts: readonly string[]): Float32Array {
  return Float32Array.from(parseDoubles(texts));
}

function parseDoubles(texts: readonly string[]): Float64Array {
  const special: Record<string, number> = {
    nan: Number.NaN,
    inf: Number.POSITIVE_INFINITY,
    "-inf": Number.NEGATIVE_INFINITY,
  };
  return Float64Array.from(texts, (text) => special[text] ?? Number(text));
}

export function readFixture(...path: string[]): Uint8Array {
  return new Uint8Array(readFileSync(join(FIXTURES, ...path)));
}

/** Made by `benchmarks/xgboost_parity.py --small`, which says with which versions. */
export function xgboostFixtures(): XgboostFixture[] {
  return ["xgboost-1", "xgboost-2", "xgboost-3"].flatMap((folder) => fixturesIn(folder, parseFloats));
}

/** Made by `benchmarks/lightgbm_parity.py --small` with 4.7.0 (17 models, seed 3), 3.3.5 and 2.3.1 (3 models, seed 5). */
export function lightgbmFixtures(): LightgbmFixture[] {
  return ["lightgbm-2", "lightgbm-3", "lightgbm-4"].flatMap((folder) => fixturesIn(folder, parseDoubles));
}

function fixturesIn<Floats extends Float32Array | Float64Array>(
  folder: string,
  parse: (texts: readonly string[]) => Floats,
): TreeFixture<Floats>[] {
  const entries: Entry[] = JSON.parse(readFileSync(join(FIXTURES, folder, "manifest.json"), "utf8"));
  return entries.map((entry) => {
    const rows = parse(entry.rows);
    return {
      name: `${folder}/${entry.file}`,
      bytes: readFixture(folder, entry.file),
      objective: entry.objective,
      features: entry.features,
      rowCount: rows.length / entry.features,
      rows,
      margins: parse(entry.margins),
      outputs: parse(entry.outputs),
    };
  });
}

/** A parsed document that a test takes apart and damages at will. */
// biome-ignore lint/suspicious/noExplicitAny: any shape is the point of it
export type LooseJson = any;

/** The code of the error that `action` throws or rejects with; fails when it does neither. */
export async function codeOf(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return "no error";
}
