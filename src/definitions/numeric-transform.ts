import { type ColumnGroup, type Indexes, type Like, MAX_COLUMNS, type NullIf } from "./column-group.ts";
import { millraceError } from "./errors.ts";
import { type AnyExpr, type Expression, expr, type NumericStep } from "./expression.ts";

interface MinMaxOptions {
  /** Default [0, 1]. */
  readonly range?: readonly [low: number, high: number];
  /** Limits later values to the range. Default false. */
  readonly clip?: boolean;
}

interface RobustOptions {
  /** The percentiles between which the scale lies. Default [25, 75]. */
  readonly percentiles?: readonly [low: number, high: number];
  /** Subtract the median. Default true. */
  readonly center?: boolean;
  /** Divide by the distance of the percentiles. Default true. */
  readonly scale?: boolean;
  /** Divide so that a normal distribution gets variance 1. Default false. */
  readonly unitVariance?: boolean;
}

interface QuantileOptions {
  /** How many quantiles are kept, at most as many as there are training rows. Default 1,000. */
  readonly quantiles?: number;
  /** Default `uniform`. */
  readonly output?: "uniform" | "normal";
}

interface PowerOptions {
  /** `yeo_johnson` takes any number; `box_cox` only positive ones, others become null. Default `yeo_johnson`. */
  readonly method?: "yeo_johnson" | "box_cox";
  /** Mean 0 and standard deviation 1 afterwards. Default true. */
  readonly standardize?: boolean;
}

interface KBinsOptions {
  /** Equal widths, equal counts, or nearest of k means. Default `quantile`. */
  readonly strategy?: "uniform" | "quantile" | "kmeans";
  /** How `quantile` reads a quantile between two values. Default `averaged_inverted_cdf`. */
  readonly quantileMethod?: "averaged_inverted_cdf" | "linear";
}

/**
 * Steps on a number, applied in the order written; nulls pass through until `fillNull` or `impute`. What a step learns,
 * it learns on a training set, from the values that reach it and are not null. A result that is not finite is null.
 */
export interface NumericTransform<E, T> extends Like<E, T> {
  /** Null becomes the value. */
  fillNull(value: number): NumericTransform<E, number>;
  /** Null becomes the training set's mean, median, or most frequent value (of several the least); 0 if it had none. */
  impute(strategy: "mean" | "median" | "most_frequent"): NumericTransform<E, number>;
  /** Limits the number to [low, high]. */
  clip(low: number, high: number): NumericTransform<E, T>;
  /** ln(1 + x); null from −1 down. */
  log1p(): NumericTransform<E, T>;
  /** (x − mean) / stddev of the training set (the population's stddev; 1 where it is 0). */
  standardize(): NumericTransform<E, T>;
  /** Maps the training set's least and greatest values to the ends of a range. */
  minMax(options?: MinMaxOptions): NumericTransform<E, T>;
  /** x / greatest magnitude in the training set; `clip` limits later values to [−1, 1]. */
  maxAbs(options?: { readonly clip?: boolean }): NumericTransform<E, T>;
  /** (x − median) / distance of two percentiles, which outliers do not move. */
  robust(options?: RobustOptions): NumericTransform<E, T>;
  /** The place of x among the training set's quantiles, 0 to 1, or that of a normal distribution. */
  quantile(options?: QuantileOptions): NumericTransform<E, T>;
  /** A power transform towards a normal distribution; its exponent has the greatest likelihood. */
  power(options?: PowerOptions): NumericTransform<E, T>;
  /** The bin of x, from 0; with `encode: "one_hot"` one column per bin, `key_0` and so on, all 0 for null. */
  kBins(bins: number, options?: KBinsOptions & { readonly encode?: "ordinal" }): NumericTransform<E, T>;
  kBins<const N extends number>(
    bins: N,
    options: KBinsOptions & { readonly encode: "one_hot" },
  ): ColumnGroup<E, Indexes<N>>;
}

/** Transforms a number. */
export const NumericTransform: {
  of<E extends AnyExpr<number | bigint | null>>(input: E): NumericTransform<E, NullIf<E, number>>;
} = {
  of: (input) => {
    if (!["float64", "int32", "int64"].includes(input.expression.type.kind)) {
      throw millraceError(
        "DEFINITION_INVALID",
        `NumericTransform.of() needs a number, not a ${input.expression.type.kind}.`,
      );
    }
    return numeric(input.expression, []) as never;
  },
};

function numeric(input: Expression, steps: readonly NumericStep[]): unknown {
  const add = (step: NumericStep): unknown => numeric(input, [...steps, Object.freeze(step)]);
  const nullable = input.type.nullable && !steps.some((step) => step.op === "fill_null" || step.op === "impute");
  return Object.freeze({
    ...expr({ op: "numeric", input, steps: Object.freeze(steps), type: { kind: "float64", nullable } }),
    fillNull: (value: number) => add({ op: "fill_null", value: finite(value, "fillNull") }),
    impute: (strategy: "mean" | "median" | "most_frequent") =>
      add({ op: "impute", strategy: choice(strategy, ["mean", "median", "most_frequent"], "impute") }),
    clip: (low: number, high: number) => {
      if (finite(low, "clip") > finite(high, "clip")) throw invalid(`clip(${low}, ${high}): low is above high.`);
      return add({ op: "clip", low, high });
    },
    log1p: () => add({ op: "log1p" }),
    standardize: () => add({ op: "standardize" }),
    minMax: ({ range: [low, high] = [0, 1], clip = false }: MinMaxOptions = {}) => {
      if (finite(low, "minMax") >= finite(high, "minMax")) {
        throw invalid(`minMax({ range: [${low}, ${high}] }): low must be below high.`);
      }
      return add({ op: "min_max", low, high, clip });
    },
    maxAbs: ({ clip = false }: { readonly clip?: boolean } = {}) => add({ op: "max_abs", clip }),
    robust: (options: RobustOptions = {}) => add(robustStep(options)),
    quantile: ({ quantiles = 1_000, output = "uniform" }: QuantileOptions = {}) =>
      add({
        op: "quantile",
        quantiles: whole(quantiles, 1, 100_000, "quantile", "quantiles"),
        output: choice(output, ["uniform", "normal"], "quantile"),
      }),
    power: ({ method = "yeo_johnson", standardize = true }: PowerOptions = {}) =>
      add({ op: "power", method: choice(method, ["yeo_johnson", "box_cox"], "power"), standardize }),
    kBins: (bins: number, options: KBinsOptions & { readonly encode?: "ordinal" | "one_hot" } = {}) => {
      const step: NumericStep = {
        op: "k_bins",
        bins: whole(bins, 2, 1_000, "kBins", "bins"),
        strategy: choice(options.strategy ?? "quantile", ["uniform", "quantile", "kmeans"], "kBins"),
        quantile_method: choice(
          options.quantileMethod ?? "averaged_inverted_cdf",
          ["averaged_inverted_cdf", "linear"],
          "kBins",
        ),
      };
      if (choice(options.encode ?? "ordinal", ["ordinal", "one_hot"], "kBins") === "ordinal") return add(step);
      return expr({
        op: "index_columns",
        input: (numeric(input, [...steps, Object.freeze(step)]) as AnyExpr).expression,
        size: whole(bins, 2, MAX_COLUMNS, "kBins", "bins"),
        type: { kind: "float64", nullable: false },
      });
    },
  });
}

function robustStep(options: RobustOptions): NumericStep {
  const { percentiles: [low, high] = [25, 75], center = true, scale = true, unitVariance = false } = options;
  if (!(finite(low, "robust") >= 0 && low <= finite(high, "robust") && high <= 100)) {
    throw invalid(`robust({ percentiles: [${low}, ${high}] }): they must be 0 to 100, the lower one first.`);
  }
  if (unitVariance && (low === 0 || high === 100 || low === high)) {
    throw invalid(`robust({ unitVariance: true }) needs two different percentiles between 0 and 100.`);
  }
  return { op: "robust", low, high, center, scale, unit_variance: unitVariance };
}

function finite(value: number, step: string): number {
  if (typeof value !== "number" || !Number.isFinite(value))
    throw invalid(`${step}(${String(value)}) needs a finite number.`);
  return value;
}

function whole(value: number, from: number, to: number, step: string, what: string): number {
  if (!Number.isInteger(value) || value < from || value > to) {
    throw invalid(`${step}: ${what} must be a whole number from ${from} to ${to}, not ${String(value)}.`);
  }
  return value;
}

function choice<T extends string>(value: T, choices: readonly T[], step: string): T {
  if (!choices.includes(value)) throw invalid(`${step}: '${String(value)}' is none of ${choices.join(", ")}.`);
  return value;
}

function invalid(message: string): Error {
  return millraceError("DEFINITION_INVALID", message);
}
