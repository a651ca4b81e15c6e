import { toValue } from "./derive.ts";
import { millraceError } from "./errors.ts";
import {
  type AnyExpr,
  type Expr,
  type Expression,
  expr,
  type KeysOf,
  type NumericStep,
  type RequestOf,
  type StreamOf,
  type ValueOf,
} from "./expression.ts";

type Like<E, T> = Expr<T, StreamOf<E>, KeysOf<E>, RequestOf<E>>;
type NullIf<E, T> = null extends ValueOf<E> ? T | null : T;

/** Steps on a number, applied in the order written; nulls pass through until `fillNull`. */
export interface NumericTransform<E, T> extends Like0<E, T> {
  /** Null becomes the value. */
  fillNull(value: number): NumericTransform<E, number>;
  /** Limits the number to [low, high]. */
  clip(low: number, high: number): NumericTransform<E, T>;
  /** ln(1 + x); null below −1. */
  log1p(): NumericTransform<E, T>;
  /** (x − mean) / stddev, both fitted on a training set (population stddev, 1 if it is 0). */
  standardize(): NumericTransform<E, T>;
}
interface Like0<E, T> extends Expr<T, StreamOf<E>, KeysOf<E>, RequestOf<E>> {}

/** One column `key_category` per category: 1 for the value's own, else 0. */
export interface OneHot<E, C extends string> extends Like<E, number> {
  readonly "~oneHot"?: C;
}

/** Encodings of a text. */
export interface CategoricalTransform<E, T> extends Like0<E, T> {
  /** Null becomes the value. */
  fillNull(value: NonNullable<ValueOf<E>>): CategoricalTransform<E, NonNullable<T>>;
  /** One column per category, all 0 for null and for values outside the list. The list may be left out for a `oneOf`. */
  oneHot<const C extends readonly [string, ...string[]]>(categories: C): OneHot<E, C[number]>;
  oneHot(): OneHot<E, string extends ValueOf<E> ? never : NonNullable<ValueOf<E>> & string>;
  /**
   * The position in the list, from 0: −1 for values outside it, null for null. A `oneOf` has its own list; without any
   * the categories are fitted on a training set (sorted).
   */
  ordinal(categories?: readonly [string, ...string[]]): Like<E, NullIf<E, number>>;
  /** MurmurHash3 modulo `buckets`: from 0 to buckets − 1; null for null. */
  hash(buckets: number): Like<E, NullIf<E, number>>;
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

/** Transforms a text. */
export const CategoricalTransform: {
  of<E extends AnyExpr<string | null>>(input: E): CategoricalTransform<E, ValueOf<E>>;
} = {
  of: (input) => {
    if (!["string", "one_of"].includes(input.expression.type.kind)) {
      throw millraceError(
        "DEFINITION_INVALID",
        `CategoricalTransform.of() needs a text, not a ${input.expression.type.kind}.`,
      );
    }
    return categorical(input.expression) as never;
  },
};

function numeric(input: Expression, steps: readonly NumericStep[]): unknown {
  const add = (step: NumericStep): unknown => numeric(input, [...steps, step]);
  const nullable = input.type.nullable && !steps.some((s) => s.op === "fill_null");
  return Object.freeze({
    ...expr({ op: "numeric", input, steps: Object.freeze(steps), type: { kind: "float64", nullable } }),
    fillNull: (value: number) => add({ op: "fill_null", value: finite(value, "fillNull") }),
    clip: (low: number, high: number) => {
      if (finite(low, "clip") > finite(high, "clip")) {
        throw millraceError("DEFINITION_INVALID", `clip(${low}, ${high}): low is above high.`);
      }
      return add({ op: "clip", low, high });
    },
    log1p: () => add({ op: "log1p" }),
    standardize: () => add({ op: "standardize" }),
  });
}

function finite(value: number, step: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw millraceError("DEFINITION_INVALID", `${step}(${String(value)}) needs a finite number.`);
  }
  return value;
}

function categorical(input: Expression): unknown {
  const encoded = { kind: "float64", nullable: input.type.nullable } as const;
  return Object.freeze({
    ...expr(input),
    fillNull: (value: string) =>
      categorical({
        op: "fill",
        input,
        value: toValue(value, input.type, "fillNull"),
        type: { ...input.type, nullable: false },
      }),
    oneHot: (categories: readonly string[] | undefined = input.type.values) =>
      expr({
        op: "one_hot",
        input,
        categories: categoryList(categories, "oneHot"),
        type: { kind: "float64", nullable: false },
      }),
    ordinal: (categories: readonly string[] | null = input.type.values ?? null) =>
      expr({ op: "ordinal", input, categories: categories && categoryList(categories, "ordinal"), type: encoded }),
    hash: (buckets: number) => {
      if (!Number.isInteger(buckets) || buckets < 1 || buckets > 2 ** 31 - 1) {
        throw millraceError(
          "DEFINITION_INVALID",
          `hash(${buckets}): buckets must be a whole number from 1 to 2^31 − 1.`,
        );
      }
      return expr({ op: "hash", input, buckets, type: encoded });
    },
  });
}

function categoryList(categories: readonly string[] | undefined, step: string): readonly string[] {
  if (categories === undefined || categories.length === 0 || new Set(categories).size !== categories.length) {
    throw millraceError(
      "DEFINITION_INVALID",
      `${step}() needs a list of categories, each once (a oneOf column brings its own).`,
    );
  }
  return Object.freeze([...categories]);
}
