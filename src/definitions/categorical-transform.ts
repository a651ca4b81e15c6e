import { type ColumnGroup, type Indexes, type Like, MAX_COLUMNS, type NullIf } from "./column-group.ts";
import { toValue } from "./derive.ts";
import { millraceError } from "./errors.ts";
import { type AnyExpr, type CategoryEncoding, type Expression, expr, type ValueOf } from "./expression.ts";
import type { Label } from "./label.ts";

/** Which categories of a training set are infrequent: they share one code. */
interface InfrequentOptions {
  /** Categories in fewer rows are infrequent: from 1 a count, below 1 a share of the training rows. Default: none. */
  readonly minFrequency?: number;
}

interface OneHotOptions {
  /** A category outside the list: all columns 0, or the error `CATEGORY_UNKNOWN`. Default `ignore`. */
  readonly unknown?: "ignore" | "error";
  /** A null: all columns 0, or 1 in a last column `key_null`. Default `ignore`. */
  readonly nulls?: "ignore" | "category";
}

interface FittedOneHotOptions<N extends number> extends InfrequentOptions {
  /** How many columns: the most frequent categories, and in one column the rest, if there are more. */
  readonly maxCategories: N;
  /** As in `OneHotOptions`; `infrequent`: like the infrequent ones, if there are any. Default `ignore`. */
  readonly unknown?: "ignore" | "infrequent" | "error";
  /** A null: all columns 0, or a category like the others, sorted last. Default `ignore`. */
  readonly nulls?: "ignore" | "category";
}

interface OrdinalOptions extends InfrequentOptions {
  /** At most this many codes, the infrequent ones' included. */
  readonly maxCategories?: number;
  /** The code of an unknown category, null, `infrequent` (−1 if none is), or the error `CATEGORY_UNKNOWN`. Default −1. */
  readonly unknown?: number | null | "infrequent" | "error";
  /** The code of a null, or `category`: the one after the last category. Default null. */
  readonly nulls?: number | null | "category";
}

interface NullsOptions {
  /** A null gives null, or is a category like the others. Default `null`. */
  readonly nulls?: "null" | "category";
}

interface FrequencyOptions extends NullsOptions {
  /** Divide by the number of training rows that were counted. Default false. */
  readonly relative?: boolean;
}

interface TargetOptions extends NullsOptions {
  /** How many rows' weight the overall mean has in each category; `auto`: an empirical Bayes estimate. Default `auto`. */
  readonly smooth?: "auto" | number;
  /** Rows of the training set get what the other folds say, see `target`. Default 5. */
  readonly folds?: number;
}

type NullCode<E, O> = O extends { readonly nulls: number | "category" }
  ? never
  : null extends ValueOf<E>
    ? null
    : never;
type UnknownCode<O> = O extends { readonly unknown: null } ? null : never;
type NullColumn<O> = O extends { readonly nulls: "category" } ? "null" : never;
/** A label of listed texts makes a column per text, any other label one number. */
type TargetOf<E, T, O> = [NonNullable<T>] extends [string]
  ? ColumnGroup<E, NonNullable<T> & string>
  : Like<E, number | NullCode<E, O>>;

/** Encodings of a text. What they learn, they learn on a training set. */
export interface CategoricalTransform<E, T> extends Like<E, T> {
  /** Null becomes the value. */
  fillNull(value: NonNullable<ValueOf<E>>): CategoricalTransform<E, NonNullable<T>>;
  /** Null becomes the training set's most frequent text (of several the first); without any the empty text. */
  impute(strategy: "most_frequent"): CategoricalTransform<E, NonNullable<T>>;
  /** One column `key_category` per category; a `oneOf` brings its own list. */
  oneHot(): ColumnGroup<E, string extends ValueOf<E> ? never : NonNullable<ValueOf<E>> & string>;
  oneHot<const C extends readonly [string, ...string[]], const O extends OneHotOptions = Record<never, never>>(
    categories: C,
    options?: O,
  ): ColumnGroup<E, C[number] | NullColumn<O>>;
  /** Columns `key_0`, `key_1`, … of categories that are fitted: sorted, the infrequent ones' last, unused ones 0. */
  oneHot<const N extends number>(options: FittedOneHotOptions<N>): ColumnGroup<E, Indexes<N>>;
  /**
   * The position in the list, from 0: −1 for values outside it, null for null. A `oneOf` has its own list; without any
   * the categories are fitted (sorted); the infrequent ones' code follows the last.
   */
  ordinal<const O extends OrdinalOptions = Record<never, never>>(
    categories: readonly [string, ...string[]] | undefined,
    options?: O,
  ): Like<E, number | NullCode<E, O> | UnknownCode<O>>;
  ordinal<const O extends OrdinalOptions = Record<never, never>>(
    options?: O,
  ): Like<E, number | NullCode<E, O> | UnknownCode<O>>;
  /** In how many training rows the category was: 0 if in none. */
  frequency<const O extends FrequencyOptions = Record<never, never>>(options?: O): Like<E, number | NullCode<E, O>>;
  /**
   * The mean of a label over the category's training rows, drawn towards the overall mean, which unknown categories
   * get. A bool counts as 0 and 1; a `oneOf` label makes a column `key_class` per class. In the training set itself a
   * row gets what the rows of the other folds say, since its own label must not leak into what the model reads: the
   * n-th row is in fold n mod `folds`.
   */
  target<L, const O extends TargetOptions = Record<never, never>>(label: Label<L>, options?: O): TargetOf<E, L, O>;
  /** MurmurHash3 modulo `buckets`: from 0 to buckets − 1; null for null. `murmur3_32` is scikit-learn's. */
  hash(buckets: number, options?: { readonly algorithm?: "murmur3_128" | "murmur3_32" }): Like<E, NullIf<E, number>>;
  /** Feature hashing: columns `key_0`, …; ±1 in the text's own (1 if not `signed`), else 0; all 0 for null. */
  hashColumns<const N extends number>(buckets: N, options?: { readonly signed?: boolean }): ColumnGroup<E, Indexes<N>>;
}

/** Transforms a text. */
export const CategoricalTransform: {
  of<E extends AnyExpr<string | null>>(input: E): CategoricalTransform<E, ValueOf<E>>;
} = {
  of: (input) => {
    if (!["string", "one_of"].includes(input.expression.type.kind)) {
      throw invalid(`CategoricalTransform.of() needs a text, not a ${input.expression.type.kind}.`);
    }
    return categorical(input.expression) as never;
  },
};

const NUMBER = Object.freeze({ kind: "float64", nullable: false } as const);
type Categories = readonly string[];

function categorical(input: Expression): unknown {
  const filled = { ...input.type, nullable: false };
  const encoded = { kind: "float64", nullable: input.type.nullable } as const;
  return Object.freeze({
    ...expr(input),
    fillNull: (value: string) =>
      categorical({ op: "fill", input, value: toValue(value, input.type, "fillNull"), type: filled }),
    impute: (strategy: "most_frequent") => {
      choice(strategy, ["most_frequent"], "impute");
      return categorical({ op: "impute", input, type: filled });
    },
    oneHot: (first: Categories | FittedOneHotOptions<number> | undefined, options: OneHotOptions = {}) =>
      first === undefined || Array.isArray(first)
        ? oneHot(input, categoryList((first as Categories | undefined) ?? input.type.values, "oneHot"), options)
        : fittedOneHot(input, first as FittedOneHotOptions<number>),
    ordinal: (first: Categories | OrdinalOptions | undefined, second?: OrdinalOptions) => {
      const list = Array.isArray(first) ? (first as Categories) : undefined;
      const options = second ?? (list === undefined ? (first as OrdinalOptions | undefined) : undefined);
      return ordinal(input, list ?? input.type.values ?? null, options);
    },
    frequency: ({ relative = false, nulls = "null" }: FrequencyOptions = {}) =>
      expr({
        op: "frequency",
        input,
        relative,
        nulls: nullsChoice(nulls, "frequency"),
        type: nulls === "category" ? NUMBER : encoded,
      }),
    target: (label: Label<unknown>, options: TargetOptions = {}) => target(input, label, options),
    hash: (
      buckets: number,
      { algorithm = "murmur3_128" }: { readonly algorithm?: "murmur3_128" | "murmur3_32" } = {},
    ) =>
      expr({
        op: "hash",
        input,
        buckets: whole(buckets, 1, 2 ** 31 - 1, "hash", "buckets"),
        // Left out where it is the default, so that plans from before there was a choice keep their hashes.
        ...(choice(algorithm, ["murmur3_128", "murmur3_32"], "hash") === "murmur3_32"
          ? { algorithm: "murmur3_32" as const }
          : {}),
        type: encoded,
      }),
    hashColumns: (buckets: number, { signed = true }: { readonly signed?: boolean } = {}) =>
      expr({
        op: "hash_columns",
        input,
        buckets: whole(buckets, 1, MAX_COLUMNS, "hashColumns", "buckets"),
        signed,
        type: NUMBER,
      }),
  });
}

function oneHot(input: Expression, categories: Categories, options: OneHotOptions): unknown {
  const unknown = choice(options.unknown ?? "ignore", ["ignore", "error"], "oneHot");
  const nulls = choice(options.nulls ?? "ignore", ["ignore", "category"], "oneHot");
  return expr({
    op: "one_hot",
    input,
    categories,
    ...(unknown === "error" ? { unknown } : {}),
    ...(nulls === "category" ? { nulls } : {}),
    type: NUMBER,
  });
}

function fittedOneHot(input: Expression, options: FittedOneHotOptions<number>): unknown {
  const unknown = choice(options.unknown ?? "ignore", ["ignore", "infrequent", "error"], "oneHot");
  const nulls = choice(options.nulls ?? "ignore", ["ignore", "category"], "oneHot");
  const size = whole(options.maxCategories, 1, MAX_COLUMNS, "oneHot", "maxCategories");
  const encoding: CategoryEncoding = Object.freeze({
    min_frequency: frequencyOf(options, "oneHot"),
    max_categories: size,
    unknown: unknown === "ignore" ? null : unknown,
    nulls: nulls === "ignore" ? null : nulls,
  });
  const codes: Expression = {
    op: "ordinal",
    input,
    categories: null,
    encoding,
    type: { kind: "float64", nullable: true },
  };
  return expr({ op: "index_columns", input: Object.freeze(codes), size, type: NUMBER });
}

function ordinal(input: Expression, list: Categories | null, options: OrdinalOptions | undefined): unknown {
  const categories = list && categoryList(list, "ordinal");
  const encoded = { kind: "float64", nullable: input.type.nullable } as const;
  if (options === undefined || Object.keys(options).length === 0) {
    return expr({ op: "ordinal", input, categories, type: encoded });
  }
  const { unknown = -1, nulls = null, maxCategories } = options;
  if (typeof unknown === "string") choice(unknown, ["infrequent", "error"], "ordinal");
  else if (unknown !== null) whole(unknown, -(2 ** 31), 2 ** 31 - 1, "ordinal", "unknown");
  if (typeof nulls === "string") choice(nulls, ["category"], "ordinal");
  else if (nulls !== null) whole(nulls, -(2 ** 31), 2 ** 31 - 1, "ordinal", "nulls");
  const encoding: CategoryEncoding = Object.freeze({
    min_frequency: frequencyOf(options, "ordinal"),
    max_categories:
      maxCategories === undefined ? null : whole(maxCategories, 1, 2 ** 31 - 1, "ordinal", "maxCategories"),
    unknown,
    nulls,
  });
  const nullable = (input.type.nullable && nulls === null) || unknown === null;
  return expr({ op: "ordinal", input, categories, encoding, type: { kind: "float64", nullable } });
}

function target(input: Expression, { label }: Label<unknown>, options: TargetOptions): unknown {
  const { smooth = "auto", folds = 5, nulls = "null" } = options;
  if (smooth !== "auto" && !(typeof smooth === "number" && Number.isFinite(smooth) && smooth >= 0)) {
    throw invalid(`target({ smooth: ${String(smooth)} }): it must be "auto" or a number from 0 up.`);
  }
  const classes = label.type.kind === "one_of" ? label.type.values! : null;
  return expr({
    op: "target",
    input,
    label,
    classes,
    smooth,
    folds: whole(folds, 2, 100, "target", "folds"),
    nulls: nullsChoice(nulls, "target"),
    type: { kind: "float64", nullable: input.type.nullable && nulls === "null" },
  });
}

function categoryList(categories: Categories | undefined, step: string): Categories {
  if (categories === undefined || categories.length === 0 || new Set(categories).size !== categories.length) {
    throw invalid(`${step}() needs a list of categories, each once (a oneOf column brings its own).`);
  }
  return Object.freeze([...categories]);
}

function frequencyOf({ minFrequency }: InfrequentOptions, step: string): number | null {
  if (minFrequency === undefined) return null;
  const share = minFrequency > 0 && minFrequency < 1;
  if (!share && !(Number.isInteger(minFrequency) && minFrequency >= 1)) {
    throw invalid(
      `${step}: minFrequency must be a count from 1 up, or a share between 0 and 1, not ${String(minFrequency)}.`,
    );
  }
  return minFrequency;
}

function nullsChoice(value: "null" | "category", step: string): "null" | "category" {
  return choice(value, ["null", "category"], step);
}

function whole(value: number, from: number, to: number, step: string, what: string): number {
  if (!Number.isInteger(value) || value < from || value > to) {
    throw invalid(`${step}(${String(value)}): ${what} must be a whole number from ${from} to ${to}.`);
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
