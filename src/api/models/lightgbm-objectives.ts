import { exp64, sigmoid64, softmax64 } from "./float64-math.ts";
import { corruptModel, modelError } from "./model-errors.ts";

/** What becomes of a LightGBM model's sums. */
export interface LightgbmObjective {
  readonly name: string;
  /** Turns the sums of `rows` rows, `width` each, into predictions in place; null when the sums are the predictions. */
  readonly transform: ((margins: Float64Array, rows: number, width: number) => void) | null;
  readonly isProbability: boolean;
}

function elementwise(convert: (margin: number) => number): (margins: Float64Array) => void {
  return (margins) => {
    for (let i = 0; i < margins.length; i++) margins[i] = convert(margins[i]!);
  };
}

/** Objectives whose sums are the predictions, or with `sqrt` their signed roots. */
const IDENTITY: ReadonlySet<string> = new Set([
  "regression",
  "regression_l1",
  "huber",
  "fair",
  "quantile",
  "mape",
  "lambdarank",
  "rank_xendcg",
]);
const NEVER_SQUARED: ReadonlySet<string> = new Set(["huber", "lambdarank", "rank_xendcg"]);
const EXPONENTIAL: ReadonlySet<string> = new Set(["poisson", "gamma", "tweedie"]);

const ALIASES: Readonly<Record<string, string>> = {
  l2: "regression",
  regression_l2: "regression",
  mean_squared_error: "regression",
  mse: "regression",
  l1: "regression_l1",
  mean_absolute_error: "regression_l1",
  mae: "regression_l1",
  softmax: "multiclass",
  multiclass_ova: "multiclassova",
  ova: "multiclassova",
  ovr: "multiclassova",
  xentropy: "cross_entropy",
  xentlambda: "cross_entropy_lambda",
  xendcg: "rank_xendcg",
};

/**
 * The objective of those words, "binary sigmoid:1"; none, or `custom`, leaves the sums as they are, as the library does.
 *
 * @throws MODEL_UNSUPPORTED for one that Millrace does not know; MODEL_CORRUPT for parameters that do not fit.
 */
export function lightgbmObjective(words: readonly string[], outputs: number): LightgbmObjective {
  const name = ALIASES[words[0] ?? ""] ?? words[0] ?? "none";
  const plain = { name, transform: null, isProbability: false };
  if (["none", "custom", "null", "na"].includes(name)) return plain;
  if (IDENTITY.has(name)) {
    const isSquared = words.includes("sqrt") && !NEVER_SQUARED.has(name);
    return isSquared ? { ...plain, transform: elementwise((x) => Math.sign(x) * x * x) } : plain;
  }
  if (EXPONENTIAL.has(name)) return { ...plain, transform: elementwise(exp64) };
  if (name === "cross_entropy_lambda") return { ...plain, transform: elementwise((x) => Math.log1p(exp64(x))) };
  const probability = { name, isProbability: true };
  if (name === "cross_entropy") return { ...probability, transform: elementwise(sigmoid64) };
  if (name === "binary" || name === "multiclassova") {
    const steepness = readParameter(words, "sigmoid", 1);
    return { ...probability, transform: elementwise((x) => sigmoid64(steepness * x)) };
  }
  if (name === "multiclass") {
    const classes = readParameter(words, "num_class", outputs);
    if (classes !== outputs) throw corruptModel(`the objective has ${classes} classes, the trees ${outputs}`);
    return {
      ...probability,
      transform: (margins, rows, width) => {
        for (let row = 0; row < rows; row++) softmax64(margins, row * width, width);
      },
    };
  }
  throw modelError(
    "MODEL_UNSUPPORTED",
    `The objective "${name.slice(0, 60)}" is unknown, so the sums cannot be turned into predictions. Known are ${[...IDENTITY, ...EXPONENTIAL].join(", ")}, cross_entropy, cross_entropy_lambda, binary, multiclass, multiclassova.`,
  );
}

function readParameter(words: readonly string[], key: string, fallback: number): number {
  const word = words.find((candidate) => candidate.startsWith(`${key}:`));
  if (word === undefined) return fallback;
  const text = word.slice(key.length + 1);
  const value = text === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value <= 0) throw corruptModel(`the objective's ${key} is "${text.slice(0, 40)}"`);
  return value;
}
