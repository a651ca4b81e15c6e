import { type LightgbmTree, readLightgbmTree } from "./lightgbm-trees.ts";
import { corruptModel, modelError } from "./model-errors.ts";

/** What a LightGBM model file says, checked for consistency but not yet prepared for evaluation. */
export interface LightgbmFile {
  /** Of the format: `v2`, `v3`, `v4`. */
  readonly version: string;
  /** The objective's words, "binary sigmoid:1"; none when training had one of its own. */
  readonly objective: readonly string[];
  readonly featureCount: number;
  readonly featureNames: readonly string[];
  /** One for each feature: trained as a category. A feature that training found useless counts as a number. */
  readonly isCategory: readonly boolean[];
  /** The categories of a data frame's category columns, in the columns' order; null when the file does not say. */
  readonly pandasCategories: readonly (readonly (string | number)[])[] | null;
  /** Margins per row, at least 1. */
  readonly outputs: number;
  /** A random forest: the sum of the trees is divided by the iterations. */
  readonly averagesOutput: boolean;
  /** Iteration by iteration, within one output by output. */
  readonly trees: readonly LightgbmTree[];
}

const MAX_TEXT_BYTES = 500_000_000;
const MAX_FEATURES = 10_000_000;
const MAX_OUTPUTS = 65_536;

type Section = ReadonlyMap<string, string>;

/**
 * Reads a LightGBM model in its text form (`model.txt`, `model.lgb`), of format `v2` and later.
 *
 * @throws MODEL_CORRUPT for anything but a whole, consistent file; MODEL_UNSUPPORTED for linear trees;
 * MODEL_TOO_LARGE above 500 MB.
 */
export function parseLightgbm(bytes: Uint8Array): LightgbmFile {
  const lines = readLines(bytes);
  const header = readSection(lines, 1);
  const featureCount = headerCount(header.values, "max_feature_idx", MAX_FEATURES - 1) + 1;
  const outputs = headerCount(header.values, "num_tree_per_iteration", MAX_OUTPUTS);
  if (outputs === 0) throw corruptModel("num_tree_per_iteration is 0");
  const featureNames = splitWords(header.values.get("feature_names"));
  if (featureNames.length !== featureCount) {
    throw corruptModel(`feature_names has ${featureNames.length} entries for ${featureCount} features`);
  }
  const { trees, next } = readTrees(lines, header.next, featureCount);
  checkTreeCount(trees.length, header.values, outputs);
  return {
    version: header.values.get("version") ?? "",
    objective: splitWords(header.values.get("objective")),
    featureCount,
    featureNames,
    isCategory: readCategoryFlags(header.values.get("feature_infos"), featureCount),
    pandasCategories: readRest(lines, next),
    outputs,
    averagesOutput: header.values.has("average_output"),
    trees,
  };
}

function readLines(bytes: Uint8Array): readonly string[] {
  if (bytes.length > MAX_TEXT_BYTES) {
    throw modelError("MODEL_TOO_LARGE", `The LightGBM model has ${bytes.length} bytes, above ${MAX_TEXT_BYTES}.`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw corruptModel("it is not UTF-8 text", { cause });
  }
  const lines = text.split(/\r?\n/);
  if (lines[0] !== "tree") throw corruptModel("it does not start like LightGBM's text format");
  return lines;
}

/** `key=value` lines up to an empty one. A line without `=` is a key without a value. */
function readSection(lines: readonly string[], start: number): { readonly values: Section; readonly next: number } {
  const values = new Map<string, string>();
  let i = start;
  for (; i < lines.length && lines[i] !== ""; i++) {
    const line = lines[i]!;
    const equals = line.indexOf("=");
    const key = equals < 0 ? line : line.slice(0, equals);
    if (values.has(key)) throw corruptModel(`"${key.slice(0, 40)}" is given twice in one section`);
    values.set(key, equals < 0 ? "" : line.slice(equals + 1));
  }
  while (i < lines.length && lines[i] === "") i++;
  return { values, next: i };
}

function readTrees(
  lines: readonly string[],
  start: number,
  featureCount: number,
): { readonly trees: readonly LightgbmTree[]; readonly next: number } {
  const trees: LightgbmTree[] = [];
  let i = start;
  while (lines[i]?.startsWith("Tree=") === true) {
    if (lines[i] !== `Tree=${trees.length}`) {
      throw corruptModel(`the tree after ${trees.length} others calls itself "${lines[i]!.slice(0, 30)}"`);
    }
    const section = readSection(lines, i + 1);
    trees.push(readLightgbmTree(section.values, `tree ${trees.length}`, featureCount));
    i = section.next;
  }
  if (lines[i] !== "end of trees") throw corruptModel(`"end of trees" does not follow its ${trees.length} trees`);
  return { trees, next: i + 1 };
}

function checkTreeCount(count: number, header: Section, outputs: number): void {
  const sizes = header.get("tree_sizes");
  if (sizes !== undefined && splitWords(sizes).length !== count) {
    throw corruptModel(`tree_sizes counts ${splitWords(sizes).length} trees, ${count} are there`);
  }
  if (count % outputs !== 0) throw corruptModel(`${count} trees are not whole iterations of ${outputs}`);
}

function headerCount(header: Section, key: string, limit: number): number {
  const text = header.get(key) ?? "";
  if (!/^\d{1,9}$/.test(text)) throw corruptModel(`${key} is not a whole number`);
  const count = Number(text);
  if (count > limit) throw corruptModel(`${key} is ${count}, above the limit of ${limit}`);
  return count;
}

function splitWords(text: string | undefined): readonly string[] {
  return text === undefined || text === "" ? [] : text.split(" ");
}

/** A number's values are `[min:max]`, a category's `0:3:1`, a useless feature's `none`. */
function readCategoryFlags(text: string | undefined, featureCount: number): readonly boolean[] {
  const infos = splitWords(text);
  if (infos.length === 0) return new Array<boolean>(featureCount).fill(false);
  if (infos.length !== featureCount) {
    throw corruptModel(`feature_infos has ${infos.length} entries for ${featureCount} features`);
  }
  return infos.map((info) => /^-?\d+(:-?\d+)*$/.test(info));
}

const CATEGORIES = "pandas_categorical:";

/** What follows the trees: importances, parameters, and the categories that Python wrote at the very end. */
function readRest(lines: readonly string[], start: number): LightgbmFile["pandasCategories"] {
  let isInParameters = false;
  for (let i = start; i < lines.length; i++) {
    const line = lines[i]!;
    if (line === "parameters:") isInParameters = true;
    if (line === "end of parameters") isInParameters = false;
    if (line.startsWith(CATEGORIES)) return readPandasCategories(line.slice(CATEGORIES.length));
  }
  if (isInParameters) throw corruptModel('"end of parameters" is missing');
  return null;
}

function readPandasCategories(text: string): LightgbmFile["pandasCategories"] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw corruptModel("pandas_categorical is not valid JSON", { cause });
  }
  if (value === null) return null;
  const isCategory = (item: unknown): boolean => ["string", "number", "boolean"].includes(typeof item);
  const isWhole = Array.isArray(value) && value.every((list) => Array.isArray(list) && list.every(isCategory));
  if (!isWhole) throw corruptModel("pandas_categorical is not a list of lists of categories");
  if ((value as unknown[]).length === 0) return null;
  return value as readonly (readonly (string | number)[])[];
}
