import { CategoricalTransform, label, NumericTransform, requestSource, t } from "../src/definitions/index.ts";
import type { Value } from "../src/definitions/value.ts";

/** One data set for one transform with one choice of parameters, in the form that the script in Python reads. */
export interface ParityCase {
  readonly transform: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** What kind of data it is. */
  readonly data: string;
  readonly fit: readonly Value[];
  readonly apply: readonly Value[];
  readonly labels?: readonly Value[];
}

/** A seeded generator of numbers in [0, 1): mulberry32. */
export interface Random {
  (): number;
  whole(below: number): number;
  pick<T>(items: readonly T[]): T;
  normal(): number;
}

export function createRandom(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let h = Math.imul(state ^ (state >>> 15), 1 | state);
    h = (h + Math.imul(h ^ (h >>> 7), 61 | h)) ^ h;
    return ((h ^ (h >>> 14)) >>> 0) / 2 ** 32;
  };
  return Object.assign(next, {
    whole: (below: number) => Math.floor(next() * below),
    pick: <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)]!,
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  });
}

const request = requestSource({ x: t.float64().nullable(), text: t.string().nullable() });
const number = NumericTransform.of(request.x);
const text = CategoricalTransform.of(request.text);
/** Sorted, as scikit-learn sorts them. */
const CLASSES = ["late", "lost", "open", "paid"] as const;
const labels = {
  continuous: label("y", t.float64()),
  binary: label("y", t.bool()),
  multiclass: label("y", t.oneOf(...CLASSES)),
} as const;

/** The declaration of a case's transform. */
export function declare({ transform, parameters: p }: ParityCase): object {
  // biome-ignore lint/suspicious/noExplicitAny: the parameters are those that `parametersOf` makes for the transform
  const q = p as any;
  switch (transform) {
    case "standardize":
      return number.standardize();
    case "impute":
      return number.impute(q.strategy);
    case "min_max":
      return number.minMax({ range: [q.low, q.high], clip: q.clip });
    case "max_abs":
      return number.maxAbs(q);
    case "robust":
      return number.robust({
        percentiles: [q.low, q.high],
        center: q.center,
        scale: q.scale,
        unitVariance: q.unit_variance,
      });
    case "quantile":
      return number.quantile(q);
    case "power":
      return number.power(q);
    case "k_bins":
      return number.kBins(q.bins, { strategy: q.strategy, quantileMethod: q.quantile_method, encode: q.encode });
    case "impute_text":
      return text.impute("most_frequent");
    case "one_hot":
      return text.oneHot(q.categories, { unknown: q.unknown });
    case "one_hot_fitted":
      return text.oneHot({
        maxCategories: q.max_categories,
        unknown: q.unknown,
        nulls: "category",
        ...(q.min_frequency === null ? {} : { minFrequency: q.min_frequency }),
      });
    case "ordinal":
      return text.ordinal(q.categories ?? undefined, {
        unknown: q.unknown,
        nulls: q.nulls,
        ...(q.min_frequency === null ? {} : { minFrequency: q.min_frequency }),
        ...(q.max_categories === null ? {} : { maxCategories: q.max_categories }),
      });
    case "target":
      return text.target(labels[q.type as "continuous"], {
        smooth: q.smooth,
        folds: q.folds,
        nulls: "category",
      });
    default:
      return text.hashColumns(q.buckets, { signed: q.signed });
  }
}

const NUMERIC = ["standardize", "impute", "min_max", "max_abs", "robust", "quantile", "power", "k_bins"] as const;
const CATEGORICAL = ["impute_text", "one_hot", "one_hot_fitted", "ordinal", "target", "hash_columns"] as const;

/** `perTransform` random cases of every transform. */
export function parityCases(perTransform: number, seed: number): ParityCase[] {
  const random = createRandom(seed);
  return [
    ...NUMERIC.flatMap((transform) => Array.from({ length: perTransform }, () => numericCase(transform, random))),
    ...CATEGORICAL.flatMap((transform) =>
      Array.from({ length: perTransform }, () => categoricalCase(transform, random)),
    ),
  ];
}

function numericParameters(transform: (typeof NUMERIC)[number], random: Random): Record<string, unknown> {
  const flag = (): boolean => random() < 0.5;
  switch (transform) {
    case "standardize":
      return {};
    case "impute":
      return { strategy: random.pick(["mean", "median", "most_frequent"]) };
    case "min_max": {
      const [low, high] = random.pick([
        [0, 1],
        [0, 1],
        [-1, 1],
        [-3.7, 0.1],
        [10, 1e6],
      ] as const);
      return { low, high, clip: flag() };
    }
    case "max_abs":
      return { clip: flag() };
    case "robust": {
      const [low, high] = random.pick([
        [25, 75],
        [25, 75],
        [10, 90],
        [1, 99],
        [5.5, 60],
        [0, 100],
        [40, 40],
      ] as const);
      const unit_variance = flag() && low > 0 && low < high;
      return { low, high, center: random() < 0.8, scale: random() < 0.8, unit_variance };
    }
    case "quantile":
      return { quantiles: random.pick([1_000, 100, 10, 3, 2, 1]), output: random.pick(["uniform", "normal"]) };
    case "power":
      return { method: random.pick(["yeo_johnson", "box_cox"]), standardize: random() < 0.8 };
    case "k_bins":
      return {
        bins: random.pick([2, 3, 5, 10, 50]),
        strategy: random.pick(["uniform", "quantile", "kmeans"]),
        quantile_method: random.pick(["averaged_inverted_cdf", "linear"]),
        encode: random.pick(["ordinal", "one_hot"]),
      };
  }
}

const SHAPES: Readonly<Record<string, (random: Random) => () => number>> = {
  normal: (r) => () => r.normal(),
  "far from 0": (r) => () => 1e6 + r.normal(),
  lognormal: (r) => () => Math.exp(r.normal() * 2),
  skewed: (r) => () => -Math.log(1 - r()) * 100 - 3,
  uniform: (r) => () => r() * 200 - 100,
  "whole numbers with ties": (r) => () => r.whole(12) - 3,
  "cents with ties": (r) => () => r.whole(500) / 100,
  constant: (r) => {
    const x = r.pick([0, 1, -7.3, 1e8, 0.1, 1e-12]);
    return () => x;
  },
  "nearly constant": (r) => () => 1e8 + r.whole(3) * 1.4901161193847656e-8,
  large: (r) => () => r.normal() * 1e140,
  tiny: (r) => () => r.normal() * 1e-140,
  "below 1e-15": (r) => () => r.normal() * 1e-17,
  "many scales": (r) => () => (r() < 0.5 ? -1 : 1) * 10 ** (r() * 24 - 12),
  "two values": (r) => () => (r() < 0.3 ? 4.25 : -1.5),
  outliers: (r) => () => (r() < 0.05 ? r.normal() * 1e9 : r.normal()),
};

function numericCase(transform: (typeof NUMERIC)[number], random: Random): ParityCase {
  const parameters = numericParameters(transform, random);
  const data = random.pick(Object.keys(SHAPES));
  const draw = SHAPES[data]!(random);
  const positive = parameters.method === "box_cox";
  const value = (): number => (positive ? Math.abs(draw()) || 1 : draw()) + 0;
  // KBinsDiscretizer refuses missing values; PowerTransformer takes no column for constant that has one.
  const missing =
    transform === "k_bins" || (transform === "power" && data.includes("constant")) ? 0 : random.pick([0, 0, 0.1, 0.5]);
  const nullable = (): number | null => (random() < missing ? null : value());
  const size = random.pick([1, 2, 3, 5, 10, 30, 100, 300, 1_000, 2_500]);
  const fit: Value[] = Array.from({ length: size }, nullable);
  if (fit.filter((x) => x !== null).length < 2) for (let i = 0; i < Math.min(2, size); i++) fit[i] = value();
  const shifted = (): number => {
    const x = value() * random.pick([1, 1, 0.5, 3, -1]) + 0;
    return positive ? Math.abs(x) : x;
  };
  const apply = [...fit.slice(0, 40), ...Array.from({ length: 40 }, shifted)];
  if (missing > 0) apply.push(null);
  return { transform, parameters, data, fit, apply };
}

const WORDS = [
  "a",
  "b",
  "B",
  "zebra",
  "é",
  "日本",
  "word",
  "two words",
  "",
  "0",
  "10",
  "9",
  "\u{1f600}",
  "ab",
  "abc",
  "abcd",
  "x y z 12345",
];

function categoricalCase(transform: (typeof CATEGORICAL)[number], random: Random): ParityCase {
  const many = random() < 0.2;
  const words = many ? Array.from({ length: 200 }, (_, i) => `c${i}`) : WORDS.slice(0, 1 + random.whole(WORDS.length));
  const missing = transform === "hash_columns" || transform === "one_hot" ? 0 : random.pick([0, 0.1, 0.4]);
  const skew = random.pick([1, 3]);
  const value = (): string | null => (random() < missing ? null : words[Math.floor(random() ** skew * words.length)]!);
  // A target needs every class, and rows in more than one fold.
  const size = random.pick(transform === "target" ? [5, 20, 100, 500] : [1, 2, 5, 20, 100, 500]);
  const fit: Value[] = Array.from({ length: size }, value);
  if (!fit.some((x) => x !== null)) fit[0] = words[0]!;
  const parameters = categoricalParameters(transform, words, random);
  const sure = parameters.unknown === "error" && random() < 0.7;
  const later = Array.from({ length: 40 }, () =>
    sure ? random.pick(fit) : random() < 0.2 ? `new ${random.whole(9)}` : value(),
  );
  const apply = [...fit.slice(0, 40), ...later];
  // To OrdinalEncoder a missing value that it did not see, or that is not in its list, is an unknown category.
  if (transform === "ordinal" && (parameters.categories !== null || !fit.includes(null)))
    apply.splice(0, apply.length, ...apply.filter((x) => x !== null));
  const data = many ? "many categories" : "few categories";
  if (transform !== "target") return { transform, parameters, data, fit, apply };
  return { transform, parameters, data, fit, apply, labels: labelsFor(String(parameters.type), fit, random) };
}

function labelsFor(type: string, fit: readonly Value[], random: Random): Value[] {
  const constant = random() < 0.1;
  const scale = random.pick([1, 1, 1e6, 1e-9]);
  const draw = (category: Value): Value => {
    const base = String(category).length;
    if (type === "continuous") return constant ? 2.5 : (random.normal() + base) * scale;
    if (type === "binary") return random() < (base % 3) / 3;
    return CLASSES[Math.min(CLASSES.length - 1, Math.floor(random() * (1 + (base % 4))))]!;
  };
  const drawn = fit.map(draw);
  // Every class is there, so that scikit-learn knows of all of them.
  if (type === "binary") for (const [i, y] of [true, false].entries()) if (i < drawn.length) drawn[i] = y;
  if (type === "multiclass") for (const [i, y] of CLASSES.entries()) if (i < drawn.length) drawn[i] = y;
  return drawn;
}

function categoricalParameters(
  transform: (typeof CATEGORICAL)[number],
  words: readonly string[],
  random: Random,
): Record<string, unknown> {
  const min_frequency = random.pick([null, 1, 2, 5, 0.05, 0.2]);
  switch (transform) {
    case "impute_text":
      return {};
    case "one_hot":
      return { categories: words, unknown: random.pick(["ignore", "error"]) };
    case "one_hot_fitted":
      return {
        min_frequency,
        max_categories: random.pick([1, 2, 3, 5, 10, 250]),
        unknown: random.pick(["ignore", "infrequent", "error"]),
      };
    case "ordinal": {
      const categories = random() < 0.3 ? words : null;
      return {
        categories,
        min_frequency: random() < 0.5 ? null : min_frequency,
        max_categories: random.pick([null, null, 1, 2, 4, 10]),
        unknown: random.pick([-1, 300, null, "error"]),
        nulls: random.pick([null, -2]),
      };
    }
    case "target":
      return {
        type: random.pick(["continuous", "binary", "multiclass"]),
        smooth: random.pick(["auto", "auto", 0, 1, 20.5]),
        folds: random.pick([2, 5, 7]),
      };
    case "hash_columns":
      return { buckets: random.pick([1, 2, 7, 64, 500]), signed: random() < 0.5 };
  }
}
