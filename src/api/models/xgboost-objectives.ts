import { exp32, log32, logit32, sigmoid32, softmax32 } from "./float32-math.ts";
import { corruptModel, modelError } from "./model-errors.ts";

/** What an objective does besides training: where margins start, and what becomes of them. */
export interface XgboostObjective {
  /** From the file's base score to the margin's scale, float32. */
  readonly marginOfBaseScore: (baseScore: number) => number;
  /** Values per row of the final output, given the margins per row. */
  readonly outputWidth: (margins: number) => number;
  /**
   * Turns the margins of `rows` rows (`width` each, row after row) into outputs of `outputWidth(width)` each; in place
   * where it can.
   */
  readonly transform: (margins: Float32Array, rows: number, width: number) => Float32Array;
  /** The margin itself is the output. */
  readonly isIdentity: boolean;
}

const same = (value: number): number => value;

function elementwise(
  marginOfBaseScore: (baseScore: number) => number,
  transform: ((margin: number) => number) | null,
): XgboostObjective {
  return {
    marginOfBaseScore,
    outputWidth: same,
    isIdentity: transform === null,
    transform: (margins) => {
      if (transform !== null) for (let i = 0; i < margins.length; i++) margins[i] = transform(margins[i]!);
      return margins;
    },
  };
}

/** XGBoost's kRtEps: a base score of 0 or 1 (all labels alike) is moved inward by it. */
const PROBABILITY_EPSILON = Math.fround(1e-6);

function logitOfProbability(probability: number): number {
  if (!(probability >= 0 && probability <= 1)) {
    throw corruptModel(`base_score is ${probability}, which is no probability, as its logistic objective needs`);
  }
  return logit32(Math.min(Math.max(probability, PROBABILITY_EPSILON), Math.fround(1 - PROBABILITY_EPSILON)));
}

const IDENTITY = elementwise(same, null);
const LOGISTIC = elementwise(logitOfProbability, sigmoid32);
const EXPONENTIAL = elementwise(log32, exp32);

const SOFTPROB: XgboostObjective = {
  marginOfBaseScore: same,
  outputWidth: same,
  isIdentity: false,
  transform: (margins, rows, width) => {
    for (let row = 0; row < rows; row++) softmax32(margins, row * width, width);
    return margins;
  },
};

const SOFTMAX: XgboostObjective = {
  marginOfBaseScore: same,
  outputWidth: () => 1,
  isIdentity: false,
  transform: (margins, rows, width) =>
    Float32Array.from({ length: rows }, (_, row) => argMax(margins, row * width, width)),
};

/** The position, from 0, of the first largest of `count` values from `start`. */
export function argMax(values: ArrayLike<number>, start: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (values[start + i]! > values[start + best]!) best = i;
  return best;
}

const OBJECTIVES: ReadonlyMap<string, XgboostObjective> = new Map([
  ["binary:logistic", LOGISTIC],
  ["reg:logistic", LOGISTIC],
  ["binary:logitraw", IDENTITY],
  ["binary:hinge", elementwise(same, (margin) => (margin > 0 ? 1 : 0))],
  ["reg:squarederror", IDENTITY],
  ["reg:linear", IDENTITY],
  ["reg:squaredlogerror", IDENTITY],
  ["reg:absoluteerror", IDENTITY],
  ["reg:pseudohubererror", IDENTITY],
  ["reg:quantileerror", IDENTITY],
  ["reg:expectileerror", IDENTITY],
  ["count:poisson", EXPONENTIAL],
  ["reg:gamma", EXPONENTIAL],
  ["reg:tweedie", EXPONENTIAL],
  ["survival:cox", EXPONENTIAL],
  ["survival:aft", EXPONENTIAL],
  ["multi:softprob", SOFTPROB],
  ["multi:softmax", SOFTMAX],
  ["rank:pairwise", IDENTITY],
  ["rank:ndcg", IDENTITY],
  ["rank:map", IDENTITY],
]);

/** The objective of that name. @throws MODEL_UNSUPPORTED for one that Millrace does not know, a custom one included. */
export function xgboostObjective(name: string): XgboostObjective {
  const objective = OBJECTIVES.get(name);
  if (objective === undefined) {
    throw modelError(
      "MODEL_UNSUPPORTED",
      `The objective "${name.slice(0, 60)}" is unknown, so the margins cannot be turned into predictions. Known are ${[...OBJECTIVES.keys()].join(", ")}.`,
    );
  }
  return objective;
}
