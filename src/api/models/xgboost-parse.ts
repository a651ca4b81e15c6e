import {
  asArray,
  asCount,
  asFloats,
  asIntegers,
  asObject,
  asText,
  type DocumentObject,
  field,
} from "./model-document.ts";
import { corruptModel, modelError } from "./model-errors.ts";
import { decodeUbjson } from "./ubjson-decoder.ts";
import { MAX_OUTPUTS, readXgboostTrees, type XgboostTree } from "./xgboost-trees.ts";

/** What an XGBoost model file says, checked for consistency but not yet prepared for evaluation. */
export interface XgboostFile {
  /** The library that wrote it: [major, minor, patch]; empty when the file does not say. */
  readonly version: readonly number[];
  readonly objective: string;
  /** Global bias per output, float32, on the objective's scale (a probability for logistic ones). */
  readonly baseScores: Float32Array;
  readonly featureCount: number;
  readonly featureNames: readonly string[] | null;
  readonly featureTypes: readonly string[] | null;
  /** For each feature the categories that its codes stand for (files of 3.1 and later, ASCII names), else null. */
  readonly featureCategories: readonly (readonly (string | number)[] | null)[] | null;
  /** Margins per row: classes or targets, at least 1. */
  readonly outputs: number;
  readonly isMulticlass: boolean;
  readonly trees: readonly XgboostTree[];
  /** The output that each tree adds to. */
  readonly treeOutputs: Int32Array;
  /** `iterationEnds[i]` trees make up the first i iterations; starts with 0. */
  readonly iterationEnds: Int32Array;
  /** Weight per tree, for the booster `dart`. */
  readonly treeWeights: Float32Array | null;
  /** 0-based best iteration that early stopping recorded. */
  readonly bestIteration: number | null;
}

const MAX_FEATURES = 10_000_000;
const MAX_JSON_BYTES = 500_000_000;

/**
 * Reads an XGBoost model in its native JSON or UBJSON form (`.json`, `.ubj`), told apart by content.
 *
 * @throws MODEL_CORRUPT for anything but a whole, consistent file; MODEL_UNSUPPORTED for the old binary format, the
 * linear booster and trees with vector leaves.
 * @see https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
 */
export function parseXgboost(bytes: Uint8Array): XgboostFile {
  const root = asObject(decodeDocument(bytes), "the document");
  const learner = asObject(field(root, "learner"), "learner");
  const parameters = asObject(field(learner, "learner_model_param"), "learner.learner_model_param");
  const classes = asCount(field(parameters, "num_class"), "num_class", MAX_OUTPUTS);
  const targets = asCount(field(parameters, "num_target"), "num_target", MAX_OUTPUTS, 1);
  const outputs = Math.max(classes, targets, 1);
  const featureCount = asCount(field(parameters, "num_feature"), "num_feature", MAX_FEATURES);
  const objective = asText(field(asObject(field(learner, "objective"), "objective"), "name"), "objective.name");

  const { model, weights } = findTrees(asObject(field(learner, "gradient_booster"), "gradient_booster"));
  const trees = readXgboostTrees(asArray(field(model, "trees"), "trees"), featureCount);
  const treeOutputs = asIntegers(field(model, "tree_info"), "tree_info");
  if (treeOutputs.length !== trees.length) throw corruptModel("tree_info does not have one entry per tree");
  if (treeOutputs.some((output) => output < 0 || output >= outputs)) {
    throw corruptModel("tree_info names an output that the model does not have");
  }
  const treeWeights = weights === undefined ? null : asFloats(weights, "weight_drop");
  if (treeWeights !== null && treeWeights.length !== trees.length) {
    throw corruptModel("weight_drop does not have one entry per tree");
  }
  const attributes = asObject(field(learner, "attributes") ?? {}, "attributes");
  const best = field(attributes, "best_iteration");
  return {
    version: Array.from(asIntegers(field(root, "version") ?? [], "version")),
    objective,
    baseScores: readBaseScores(asText(field(parameters, "base_score"), "base_score"), outputs),
    featureCount,
    featureNames: readNames(field(learner, "feature_names"), "feature_names", featureCount),
    featureTypes: readNames(field(learner, "feature_types"), "feature_types", featureCount),
    featureCategories: readFeatureCategories(field(model, "cats"), featureCount),
    outputs,
    isMulticlass: classes > 1,
    trees,
    treeOutputs,
    iterationEnds: readIterationEnds(model, trees.length, outputs),
    treeWeights,
    bestIteration: best === undefined ? null : asCount(best, "best_iteration", 2 ** 31),
  };
}

function decodeDocument(bytes: Uint8Array): unknown {
  if (bytes[0] !== 0x7b) {
    if (bytes.length > 4 && /^(binf|bs64)/.test(String.fromCharCode(...bytes.subarray(0, 4)))) {
      throw modelError(
        "MODEL_UNSUPPORTED",
        "The model is in XGBoost's old binary format, which is deprecated and not read here. Load it in Python and save it again as model.ubj or model.json.",
      );
    }
    throw corruptModel("it starts neither like XGBoost's JSON nor like its UBJSON");
  }
  // After `{` JSON has space, a quote or `}`; UBJSON has a length marker or a container's `$` or `#`.
  const second = bytes[1];
  const isUbjson = second !== undefined && [0x4c, 0x6c, 0x49, 0x69, 0x55, 0x24, 0x23].includes(second);
  return isUbjson ? decodeUbjson(bytes) : decodeJson(bytes);
}

function decodeJson(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_JSON_BYTES) {
    throw modelError(
      "MODEL_TOO_LARGE",
      `The JSON model has ${bytes.length} bytes, above ${MAX_JSON_BYTES}. Save it as model.ubj.`,
    );
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    try {
      return JSON.parse(text);
    } catch {
      // XGBoost writes bare NaN and Infinity; the readers take them as text.
      const quoted = text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) =>
        token[0] === '"' ? token : `"${token}"`,
      );
      return JSON.parse(quoted);
    }
  } catch (cause) {
    throw corruptModel("it is not valid JSON", { cause });
  }
}

function findTrees(booster: DocumentObject): { model: DocumentObject; weights: unknown } {
  const name = asText(field(booster, "name"), "gradient_booster.name");
  if (name === "gbtree")
    return { model: asObject(field(booster, "model"), "gradient_booster.model"), weights: undefined };
  if (name === "dart") {
    const inner = asObject(field(booster, "gbtree"), "gradient_booster.gbtree");
    const weights = field(booster, "weight_drop");
    if (weights === undefined) throw corruptModel("weight_drop is missing");
    return { model: asObject(field(inner, "model"), "gradient_booster.gbtree.model"), weights };
  }
  if (name === "gblinear") {
    throw modelError(
      "MODEL_UNSUPPORTED",
      "The model uses XGBoost's linear booster (gblinear), which is not evaluated here. Train with booster=gbtree, or export to ONNX.",
    );
  }
  throw corruptModel(`the booster "${name.slice(0, 40)}" is unknown`);
}

function readBaseScores(text: string, outputs: number): Float32Array {
  // 3.1 and later write a list ("[5E-1,2E-1]"), earlier versions one number ("5E-1") that all outputs share.
  const parts = text.replace(/^\[(.*)\]$/, "$1").split(",");
  const scores = Float32Array.from(parts, (part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (scores.some((score) => !Number.isFinite(score))) throw corruptModel("base_score is not a list of finite numbers");
  if (scores.length === outputs) return scores;
  if (scores.length === 1) return new Float32Array(outputs).fill(scores[0]!);
  throw corruptModel(`base_score has ${scores.length} values for ${outputs} outputs`);
}

function readNames(value: unknown, place: string, featureCount: number): readonly string[] | null {
  if (value === undefined) return null;
  const names = Array.from(asArray(value, place), (name) => asText(name, place));
  if (names.length === 0) return null;
  if (names.length !== featureCount)
    throw corruptModel(`${place} has ${names.length} entries for ${featureCount} features`);
  return names;
}

function readIterationEnds(model: DocumentObject, trees: number, outputs: number): Int32Array {
  const stored = field(model, "iteration_indptr");
  if (stored !== undefined) {
    const ends = asIntegers(stored, "iteration_indptr");
    const isRising = ends.every((end, i) => (i === 0 ? end === 0 : end >= ends[i - 1]!));
    if (!isRising || ends.at(-1) !== trees)
      throw corruptModel("iteration_indptr does not lead from 0 to the number of trees");
    return ends;
  }
  const parameters = asObject(field(model, "gbtree_model_param"), "gbtree_model_param");
  const parallel = asCount(field(parameters, "num_parallel_tree"), "num_parallel_tree", 1_000_000, 1);
  const perIteration = Math.max(parallel, 1) * outputs;
  return Int32Array.from({ length: Math.ceil(trees / perIteration) + 1 }, (_, i) => Math.min(i * perIteration, trees));
}

/** The categories of a data frame that training recorded, by feature: ASCII bytes with offsets, or numbers. */
function readFeatureCategories(value: unknown, featureCount: number): XgboostFile["featureCategories"] {
  if (value === undefined) return null;
  const encodings = asArray(field(asObject(value, "cats"), "enc") ?? [], "cats.enc");
  if (encodings.length === 0) return null;
  if (encodings.length !== featureCount) throw corruptModel("cats.enc does not have one entry per feature");
  return Array.from(encodings, (encoding, i) => {
    const place = `cats.enc[${i}]`;
    const object = asObject(encoding, place);
    const offsets = field(object, "offsets");
    if (offsets === undefined) {
      const numbers = asArray(field(object, "values"), place);
      return numbers.length === 0 ? null : Array.from(numbers, (number) => asCategoryNumber(number, place));
    }
    const ends = asIntegers(offsets, place);
    const bytes = asIntegers(field(object, "values"), place);
    // XGBoost 3.2's Python package counts characters where it means bytes, so names that are not ASCII are cut wrongly.
    if (ends.length < 2 || bytes.some((byte) => byte < 0 || byte > 127)) return null;
    return Array.from({ length: ends.length - 1 }, (_, k) => {
      const start = ends[k]!;
      const end = ends[k + 1]!;
      if (start < 0 || start > end || end > bytes.length) throw corruptModel(`${place} has bad offsets`);
      return String.fromCharCode(...bytes.subarray(start, end));
    });
  });
}

function asCategoryNumber(value: unknown, place: string): number {
  if (typeof value !== "number") throw corruptModel(`${place} holds a category that is not a number`);
  return value;
}
