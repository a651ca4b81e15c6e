import type { FeatureViewMeta } from "./feature-view.ts";
import type { ColumnTypeSpec, Value } from "./value.ts";

/** A pure function of a row, as declared; plans hold its normalised source. */
// biome-ignore lint/suspicious/noExplicitAny: the row's type is known where the function is declared, not here
export type RowFunction = (row: any) => unknown;

export type NumericStep =
  | { readonly op: "fill_null"; readonly value: number }
  | { readonly op: "clip"; readonly low: number; readonly high: number }
  | { readonly op: "log1p" }
  | FittedStep;

/** A step that learns from a training set. */
export type FittedStep =
  | { readonly op: "standardize" }
  | { readonly op: "impute"; readonly strategy: "mean" | "median" | "most_frequent" }
  | { readonly op: "min_max"; readonly low: number; readonly high: number; readonly clip: boolean }
  | { readonly op: "max_abs"; readonly clip: boolean }
  | {
      readonly op: "robust";
      /** Percentiles, 0 to 100. */
      readonly low: number;
      readonly high: number;
      readonly center: boolean;
      readonly scale: boolean;
      readonly unit_variance: boolean;
    }
  | { readonly op: "quantile"; readonly quantiles: number; readonly output: "uniform" | "normal" }
  | { readonly op: "power"; readonly method: "yeo_johnson" | "box_cox"; readonly standardize: boolean }
  | {
      readonly op: "k_bins";
      readonly bins: number;
      readonly strategy: "uniform" | "quantile" | "kmeans";
      readonly quantile_method: "averaged_inverted_cdf" | "linear";
    };

/** How categories become codes, where that is more than a declared list. */
export interface CategoryEncoding {
  /** Rarer categories are infrequent: from 1 a count, below 1 a share of the training rows. Null: none is. */
  readonly min_frequency: number | null;
  /** At most this many codes, the infrequent ones' included. */
  readonly max_categories: number | null;
  /** The code of a category that was not in the training set. */
  readonly unknown: number | null | "infrequent" | "error";
  /** The code of a null, or `category`: null is a category like the others, after the last one. */
  readonly nulls: number | null | "category";
}

/** A column of the training frame that a transform learns from. */
export interface LabelMeta {
  readonly name: string;
  readonly type: ColumnTypeSpec;
}

/** What a declared value is made of, as data. */
export type Expression =
  | { readonly op: "column"; readonly source: string; readonly column: string; readonly type: ColumnTypeSpec }
  | { readonly op: "request"; readonly column: string; readonly type: ColumnTypeSpec }
  | {
      readonly op: "feature";
      readonly view: FeatureViewMeta;
      readonly feature: string;
      readonly type: ColumnTypeSpec;
      /** The lookup's name of each of the view's entity keys. */
      readonly keys: Readonly<Record<string, string>>;
    }
  | {
      readonly op: "derive";
      readonly inputs: Readonly<Record<string, Expression>>;
      readonly fn: RowFunction;
      readonly type: ColumnTypeSpec;
    }
  | { readonly op: "fill"; readonly input: Expression; readonly value: Value; readonly type: ColumnTypeSpec }
  | {
      readonly op: "numeric";
      readonly input: Expression;
      readonly steps: readonly NumericStep[];
      readonly type: ColumnTypeSpec;
    }
  | {
      readonly op: "one_hot";
      readonly input: Expression;
      readonly categories: readonly string[];
      /** Present: a category outside the list is an error instead of a row of zeros. */
      readonly unknown?: "error";
      /** Present: a null has a column of its own, the last one. */
      readonly nulls?: "category";
      readonly type: ColumnTypeSpec;
    }
  | {
      readonly op: "ordinal";
      readonly input: Expression;
      /** Null: the categories are fitted on a training set. */
      readonly categories: readonly string[] | null;
      /** Absent: −1 for unknown categories, null for null, none is infrequent. */
      readonly encoding?: CategoryEncoding;
      readonly type: ColumnTypeSpec;
    }
  | {
      /** One column per index from 0 to size − 1: 1 where the input is that index, else 0. */
      readonly op: "index_columns";
      readonly input: Expression;
      readonly size: number;
      readonly type: ColumnTypeSpec;
    }
  | {
      /** Null becomes the most frequent text of the training set. */
      readonly op: "impute";
      readonly input: Expression;
      readonly type: ColumnTypeSpec;
    }
  | {
      readonly op: "frequency";
      readonly input: Expression;
      readonly relative: boolean;
      readonly nulls: "null" | "category";
      readonly type: ColumnTypeSpec;
    }
  | {
      readonly op: "target";
      readonly input: Expression;
      readonly label: LabelMeta;
      /** One column per class; null: one column, of a label that is a number or a bool. */
      readonly classes: readonly string[] | null;
      readonly smooth: "auto" | number;
      readonly folds: number;
      readonly nulls: "null" | "category";
      readonly type: ColumnTypeSpec;
    }
  | {
      readonly op: "hash";
      readonly input: Expression;
      readonly buckets: number;
      /** Absent: the first word of MurmurHash3_x86_128. */
      readonly algorithm?: "murmur3_32";
      readonly type: ColumnTypeSpec;
    }
  | {
      /** One column per bucket: ±1 in the text's own, else 0. */
      readonly op: "hash_columns";
      readonly input: Expression;
      readonly buckets: number;
      readonly signed: boolean;
      readonly type: ColumnTypeSpec;
    };

/**
 * A value that the platform can compute. `T` is its type, `S` the stream it reads, `K` the entity keys and `R` the
 * request columns that it needs.
 */
// biome-ignore lint/complexity/noBannedTypes: {} is the neutral element of the intersections that gather keys
export interface Expr<out T, out S extends string = never, out K = {}, out R = {}> {
  readonly expression: Expression;
  readonly "~expr"?: { readonly value: T; readonly stream: S; readonly keys: K; readonly request: R };
}

// biome-ignore lint/suspicious/noExplicitAny: the widest expression, for constraints
export type AnyExpr<T = any> = Expr<T, any, any, any>;
export type ValueOf<E> = E extends { readonly "~expr"?: { readonly value: infer T } } ? T : never;
export type StreamOf<E> = E extends { readonly "~expr"?: { readonly stream: infer S extends string } } ? S : never;
export type KeysOf<E> = E extends { readonly "~expr"?: { readonly keys: infer K } } ? K : never;
export type RequestOf<E> = E extends { readonly "~expr"?: { readonly request: infer R } } ? R : never;

/** Wraps an expression; its type is the caller's claim. */
export function expr<T, S extends string, K, R>(expression: Expression): Expr<T, S, K, R> {
  return Object.freeze({ expression: Object.freeze(expression) });
}
