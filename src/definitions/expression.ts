import type { FeatureViewMeta } from "./feature-view.ts";
import type { ColumnTypeSpec, Value } from "./value.ts";

/** A pure function of a row, as declared; plans hold its normalised source. */
// biome-ignore lint/suspicious/noExplicitAny: the row's type is known where the function is declared, not here
export type RowFunction = (row: any) => unknown;

export type NumericStep =
  | { readonly op: "fill_null"; readonly value: number }
  | { readonly op: "clip"; readonly low: number; readonly high: number }
  | { readonly op: "log1p" }
  | { readonly op: "standardize" };

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
      readonly type: ColumnTypeSpec;
    }
  | {
      readonly op: "ordinal";
      readonly input: Expression;
      /** Null: the categories are fitted on a training set. */
      readonly categories: readonly string[] | null;
      readonly type: ColumnTypeSpec;
    }
  | { readonly op: "hash"; readonly input: Expression; readonly buckets: number; readonly type: ColumnTypeSpec };

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
