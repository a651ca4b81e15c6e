import type { FittedStep } from "../../definitions/expression.ts";
import { minimizeBetween, minimizeFrom } from "./minimize.ts";
import type { SortedSample } from "./sample.ts";

type Method = Extract<FittedStep, { op: "power" }>["method"];

const EPSILON = Number.EPSILON;
const TINY = 2 ** -1022;

/** The power transform of a value; NaN for a Box-Cox of a value that is not positive. */
export function powerOf(method: Method, lambda: number, x: number): number {
  if (method === "box_cox") {
    if (!(x > 0)) return Number.NaN;
    const log = Math.log(x);
    if (Math.abs(lambda) < 1e-19) return log;
    // Where the exponent is small, expm1 keeps what the subtraction of 1 would lose.
    return Math.abs(lambda * log) < 1e-154 ? log : Math.expm1(lambda * log) / lambda;
  }
  return yeoJohnson(lambda, signedLog(x));
}

/** ln(1 + |x|) with the sign of x. */
function signedLog(x: number): number {
  return x >= 0 ? Math.log1p(x) : -Math.log1p(-x);
}

/** The Yeo-Johnson transform of the number whose `signedLog` this is. */
function yeoJohnson(lambda: number, log: number): number {
  if (log >= 0) return Math.abs(lambda) < EPSILON ? log : Math.expm1(lambda * log) / lambda;
  const mirrored = 2 - lambda;
  return Math.abs(mirrored) > EPSILON ? -Math.expm1(mirrored * -log) / mirrored : log;
}

/**
 * The λ of the greatest likelihood, of a sample of at least two distinct values (for Box-Cox positive ones). The search
 * stops at a relative tolerance of 1.48e-8, as SciPy's; the likelihood is flat there, so that rounding decides the rest.
 */
export function powerLambda(method: Method, sample: SortedSample): number {
  return method === "box_cox" ? boxCoxLambda(sample) : yeoJohnsonLambda(sample);
}

function boxCoxLambda(sample: SortedSample): number {
  const logs = sample.values.map(Math.log);
  const made = new Float64Array(logs.length);
  const sum = weightedSum(logs, sample);
  const objective = (lambda: number): number => {
    // ln x^λ is at most this, so that what is taken out below cannot overflow.
    const peak = Math.max(lambda * logs[0]!, lambda * logs[logs.length - 1]!);
    const logVariance =
      lambda === 0
        ? Math.log(variance(logs, sample))
        : Math.log(
            variance(
              mapInto(made, logs, (log) => Math.expm1(lambda * log - peak)),
              sample,
            ),
          ) +
          2 * peak -
          2 * Math.log(Math.abs(lambda));
    return (sample.n / 2) * logVariance - (lambda - 1) * sum;
  };
  const lambda = minimizeFrom(objective, -2, 2);
  return Number.isFinite(lambda) ? withoutOverflow(lambda, logs[0]!, logs[logs.length - 1]!) : 1;
}

/** The λ nearest to the given one whose transform of the extreme values stays within a double. */
function withoutOverflow(lambda: number, low: number, high: number): number {
  const most = Math.log(Number.MAX_VALUE / 10_000);
  const fits = (candidate: number): boolean =>
    [low, high].every((log) => candidate * log - Math.log(Math.abs(candidate)) <= most);
  if (lambda === 0 || fits(lambda)) return lambda;
  let [inside, outside] = [0, lambda];
  for (let step = 0; step < 200; step++) {
    const middle = 0.5 * (inside + outside);
    if (middle === 0 || fits(middle)) inside = middle;
    else outside = middle;
  }
  return inside;
}

function yeoJohnsonLambda(sample: SortedSample): number {
  const least = sample.values[0]!;
  const greatest = sample.values[sample.values.length - 1]!;
  const logs = sample.values.map(signedLog);
  const made = new Float64Array(logs.length);
  const sum = weightedSum(logs, sample);
  const objective = (lambda: number): number => {
    const sigma = variance(
      mapInto(made, logs, (log) => yeoJohnson(lambda, log)),
      sample,
    );
    const logLikelihood =
      -(sample.n / 2) * (sigma >= TINY ? Math.log(sigma) : Number.NEGATIVE_INFINITY) + (lambda - 1) * sum;
    // An infinite likelihood is one of a variance that underflowed.
    return Math.abs(logLikelihood) === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : -logLikelihood;
  };
  // Half of the exponents of a double are left for the variance, for values up to 20 times the greatest.
  const reach = Math.log1p(20 * Math.max(Math.abs(least), Math.abs(greatest)));
  const logEpsilon = Math.log(EPSILON);
  let low = (Math.log(TINY) - logEpsilon) / 2 / reach;
  let high = (Math.log(Number.MAX_VALUE) + logEpsilon) / 2 / reach;
  if (greatest < 0) [low, high] = [2 - high, 2 - low];
  else if (least < 0) [low, high] = [Math.max(2 - high, low), Math.min(2 - low, high)];
  return minimizeBetween(objective, low, high);
}

function weightedSum(values: Float64Array, { counts }: SortedSample): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += counts === null ? values[i]! : counts[i]! * values[i]!;
  return sum;
}

/** The search evaluates every value dozens of times: into one array. */
function mapInto(into: Float64Array, values: Float64Array, map: (x: number) => number): Float64Array {
  for (let i = 0; i < values.length; i++) into[i] = map(values[i]!);
  return into;
}

/** The population's variance in two passes. */
function variance(values: Float64Array, sample: SortedSample): number {
  const mean = weightedSum(values, sample) / sample.n;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const square = (values[i]! - mean) ** 2;
    sum += sample.counts === null ? square : sample.counts[i]! * square;
  }
  return sum / sample.n;
}
