import { type AggregationName, type AggregationSpec, aggregationType, listLength } from "./aggregation-spec.ts";
import { t } from "./column-type.ts";
import { derive, toValue } from "./derive.ts";
import { type CheckedDuration, durationMs } from "./duration.ts";
import { millraceError } from "./errors.ts";
import type { AnyExpr, Expr, Expression, StreamOf, ValueOf } from "./expression.ts";
import type { TypeProblem } from "./type-problem.ts";
import type { ColumnKind, ColumnTypeSpec, Value } from "./value.ts";

/** An aggregation of a stream's events, as data. */
export interface AggregateMeta {
  readonly aggregation: AggregationSpec;
  readonly input: Expression | null;
  readonly where: Expression | null;
  /** One duration, a list of them, or null for all of the past. */
  readonly windows: string | readonly string[] | null;
  readonly ttlMs: number | null;
  /** Replaces every null; undefined if not declared. */
  readonly default: Value | undefined;
  readonly type: ColumnTypeSpec;
}

/** `W` is a duration, a list of durations, `lifetime`, or `no_window` for an aggregation that still lacks its window. */
export interface Agg<out T, out S extends string, out W> {
  readonly aggregate: AggregateMeta;
  readonly "~agg"?: { readonly value: T; readonly stream: S; readonly windows: W };
}

type Filter<Result> = Result;
type CheckedWindows<W> = W extends readonly unknown[]
  ? { readonly [I in keyof W]: CheckedDuration<W[I]> }
  : CheckedDuration<W>;
type Inputs<S> = Readonly<Record<string, Expr<unknown, S & string>>>;
type RowOf<I> = { [K in keyof I]: ValueOf<I[K]> };

/** An aggregation that needs a window: `.over("1h")` or `.over(["1h", "24h"])`. */
export interface NeedsWindow<T, S extends string> extends Agg<T, S, "no_window"> {
  /** The window: covers events of the last `window`, rounded up to one hop more (see the docs on windows). */
  over<const W extends string | readonly [string, ...string[]]>(window: W & CheckedWindows<W>): Windowed<T, S, W>;
  /** Counts only events for which the predicate is true; null counts as false. */
  where<P extends string>(predicate: Expr<boolean | null, P>): NeedsWindow<T, S | P>;
  where<const I extends Inputs<string>>(
    inputs: I,
    fn: (row: RowOf<I>) => boolean | null,
  ): NeedsWindow<T, S | StreamOf<I[keyof I]>>;
  /** Replaces null; the status stays. */
  default(value: NonNullable<T>): NeedsWindow<NonNullable<T>, S>;
}

/** `latest`, `first` and `last_n`: without a window they look at all of the past. */
export interface Lifetime<T, S extends string> extends Agg<T, S, "lifetime"> {
  over<const W extends string | readonly [string, ...string[]]>(window: W & CheckedWindows<W>): Windowed<T, S, W>;
  where<P extends string>(predicate: Expr<boolean | null, P>): Lifetime<T, S | P>;
  where<const I extends Inputs<string>>(
    inputs: I,
    fn: (row: RowOf<I>) => boolean | null,
  ): Lifetime<T, S | StreamOf<I[keyof I]>>;
  default(value: NonNullable<T>): Lifetime<NonNullable<T>, S>;
  /** Valid while the latest event is at most this old; afterwards null with status `OUTSIDE_MAX_AGE`. */
  ttl<const D extends string>(age: D & CheckedDuration<D>): Lifetime<T, S>;
}

export interface Windowed<T, S extends string, W> extends Agg<T, S, W> {
  where<P extends string>(predicate: Expr<boolean | null, P>): Windowed<T, S | P, W>;
  where<const I extends Inputs<string>>(
    inputs: I,
    fn: (row: RowOf<I>) => boolean | null,
  ): Windowed<T, S | StreamOf<I[keyof I]>, W>;
  default(value: NonNullable<T>): Windowed<NonNullable<T>, S, W>;
}

type Numeric = number | bigint | null;
type Ordered = number | bigint | Date | null;
type Scalar = string | number | bigint | boolean | Date | null;
type CheckedProbability<Q> = number extends Q
  ? Q
  : `${Q & number}` extends "0" | "1" | `0.${string}` | `${string}e-${string}`
    ? Q
    : TypeProblem<`${Q & number} is not a quantile: write a number from 0 to 1, such as 0.95`>;
type CheckedProbabilities<Q> = { readonly [I in keyof Q]: CheckedProbability<Q[I]> };
type NumberPer<L extends readonly unknown[]> = { readonly [I in keyof L]: number };

/** How many events: 0 for an empty window. */
export const count = (): NeedsWindow<number, never> => aggregate("count", null, null);
/** The exact sum, rounded once to a double: 0 for an empty window. Nulls are ignored. */
export const sum = <S extends string>(column: Expr<Numeric, S>): NeedsWindow<number, S> =>
  aggregate("sum", column, NUMBERS);
/** Exact sum over count: null for an empty window. Nulls are ignored. */
export const mean = <S extends string>(column: Expr<Numeric, S>): NeedsWindow<number | null, S> =>
  aggregate("mean", column, NUMBERS);
/** The sample's variance (n − 1): null below two values. Nulls are ignored. */
export const variance = <S extends string>(column: Expr<Numeric, S>): NeedsWindow<number | null, S> =>
  aggregate("variance", column, NUMBERS);
/** The square root of {@link variance}. */
export const stddev = <S extends string>(column: Expr<Numeric, S>): NeedsWindow<number | null, S> =>
  aggregate("stddev", column, NUMBERS);
/** The smallest value, of the column's type: null for an empty window. Nulls are ignored. */
export const min = <T extends Ordered, S extends string>(column: Expr<T, S>): NeedsWindow<NonNullable<T> | null, S> =>
  aggregate("min", column, ORDERED);
/** The largest value, of the column's type: null for an empty window. Nulls are ignored. */
export const max = <T extends Ordered, S extends string>(column: Expr<T, S>): NeedsWindow<NonNullable<T> | null, S> =>
  aggregate("max", column, ORDERED);
/** The value of the latest event, by (event time, version, arrival, payload hash). A null is a fact. */
export const latest = <T, S extends string>(column: Expr<T, S>): Lifetime<T | null, S> =>
  aggregate("latest", column, null);
/**
 * The value of the first event: of the smallest event time, and of several events at that time the latest by (version,
 * arrival, payload hash), so that a correction wins. A null is a fact.
 */
export const first = <T, S extends string>(column: Expr<T, S>): Lifetime<T | null, S> =>
  aggregate("first", column, null);
/** The values of the latest `n` events (1 to 1,000), oldest first: an empty list if there are none. Nulls are facts. */
export function lastN<T, S extends string>(column: Expr<T, S>, n: number): Lifetime<readonly T[], S> {
  if (!Number.isInteger(n) || n < 1 || n > 1_000) {
    throw millraceError("DEFINITION_INVALID", `lastN(column, ${n}): n must be a whole number from 1 to 1,000.`);
  }
  return aggregate("last_n", column, null, { n });
}
/**
 * How many different values: exact up to 512 (to 64-bit hash collisions), above that HyperLogLog with 4,096 registers,
 * standard error 1.6%. Nulls are ignored; 0 for an empty window.
 */
export const countDistinct = <S extends string>(column: Expr<unknown, S>): NeedsWindow<number, S> =>
  aggregate("count_distinct", column, null);
/**
 * The value below which the part `q` (0 to 1) of the values lies: an estimate of the value at the place ⌊q · (n − 1)⌋,
 * from 0, of the n sorted values (numpy's method `lower`), off by at most 1/128 (0.8%) of it and exact for q = 0 and
 * q = 1. Magnitudes below 2^−1022 count as 0. A double, also of int64. Null for an empty window. Nulls are ignored.
 * Quantiles of one column over the same tiles share one sketch.
 *
 * Source: DDSketch (Masson, Rim, Lee 2019), with linearly interpolated buckets.
 */
export const quantile = <S extends string, const Q extends number>(
  column: Expr<Numeric, S>,
  q: Q & CheckedProbability<Q>,
): NeedsWindow<number | null, S> =>
  aggregate("quantile", column, NUMBERS, { probabilities: probabilities("quantile", [q]) });
/** Several quantiles as one list, in the order of `qs` (1 to 100 of them); see {@link quantile}. Null for an empty window. */
export const quantiles = <S extends string, const Q extends readonly [number, ...number[]]>(
  column: Expr<Numeric, S>,
  qs: Q & CheckedProbabilities<Q>,
): NeedsWindow<NumberPer<Q> | null, S> =>
  aggregate("quantiles", column, NUMBERS, { probabilities: probabilities("quantiles", qs) });
/**
 * The `k` (1 to 1,000) most frequent values, the most frequent first, of equal counts the smaller value first (texts by
 * their UTF-16 code units, false before true): fewer if there are not so many, an empty list for an empty window. Counts
 * are exact. A window with more distinct values than `limit` (default 1,000, at most 10,000) has no answer: null, which
 * means nothing else here. Nulls are ignored.
 */
export function topK<T extends Scalar, S extends string>(
  column: Expr<T, S>,
  k: number,
  options: { readonly limit?: number } = {},
): NeedsWindow<readonly NonNullable<T>[] | null, S> {
  const { limit = 1_000 } = options;
  if (!Number.isInteger(k) || k < 1 || k > 1_000 || !Number.isInteger(limit) || limit < k || limit > 10_000) {
    throw millraceError(
      "DEFINITION_INVALID",
      `topK(column, ${k}, { limit: ${limit} }): k must be a whole number from 1 to 1,000, and the limit one from k to 10,000.`,
    );
  }
  return aggregate("top_k", column, SCALARS, { n: k, limit });
}
/**
 * How many values lie in each bucket: below the first boundary, from each boundary (included) to the next (excluded),
 * and from the last one on; so one more than there are boundaries (1 to 1,000, ascending). Zeros for an empty window.
 * Nulls are ignored.
 */
export function histogram<S extends string, const B extends readonly [number, ...number[]]>(
  column: Expr<Numeric, S>,
  boundaries: B,
): NeedsWindow<readonly [...NumberPer<B>, number], S> {
  const ascending =
    Array.isArray(boundaries) &&
    boundaries.every((x, i) => typeof x === "number" && Number.isFinite(x) && (i === 0 || x > boundaries[i - 1]!));
  if (!ascending || boundaries.length < 1 || boundaries.length > 1_000) {
    throw millraceError(
      "DEFINITION_INVALID",
      `histogram(column, [${String(boundaries)}]): the boundaries must be 1 to 1,000 finite numbers, each larger than the one before.`,
    );
  }
  return aggregate("histogram", column, NUMBERS, { boundaries: Object.freeze(boundaries.map((x) => x + 0)) });
}

function probabilities(name: string, qs: readonly number[]): readonly number[] {
  const inRange = Array.isArray(qs) && qs.every((q) => typeof q === "number" && q >= 0 && q <= 1);
  if (!inRange || qs.length < 1 || qs.length > 100) {
    throw millraceError(
      "DEFINITION_INVALID",
      `${name}(column, ${name === "quantile" ? qs[0] : `[${String(qs)}]`}): a quantile is a number from 0 to 1, such as 0.95${name === "quantile" ? "" : ", and a list has 1 to 100 of them"}.`,
    );
  }
  return Object.freeze(qs.map((q) => q + 0));
}

const NUMBERS: readonly ColumnKind[] = ["float64", "int32", "int64"];
const ORDERED: readonly ColumnKind[] = ["float64", "int32", "int64", "timestamp"];
const SCALARS: readonly ColumnKind[] = [...ORDERED, "string", "one_of", "bool"];

// The result is one object with every method; the interfaces above say which of them may be called when.
function aggregate<A>(
  name: AggregationName,
  column: AnyExpr | null,
  kinds: readonly ColumnKind[] | null,
  parameters: Omit<AggregationSpec, "name" | "input"> = {},
): A {
  const input = name === "count" ? null : expressionOf(name, column);
  if (input !== null && kinds !== null && !kinds.includes(input.type.kind)) {
    throw millraceError(
      "DEFINITION_INVALID",
      `${name}() needs a column of type ${kinds.join(", ")}, not ${input.type.kind}${input.type.kind === "timestamp" ? ": derive a number from it, such as an age or an hour" : ""}.`,
    );
  }
  if (input !== null && !readsEvents(input)) {
    throw millraceError(
      "DEFINITION_INVALID",
      `${name}() aggregates a source's column, or a derive over such columns only.`,
    );
  }
  const aggregation: AggregationSpec = { name, input: input?.type ?? null, ...parameters };
  return build({
    aggregation,
    input,
    where: null,
    windows: null,
    ttlMs: null,
    default: undefined,
    type: aggregationType(aggregation),
  }) as A;
}

/** JavaScript, and a misspelt column behind a cast, may hand over anything. */
function expressionOf(name: AggregationName, column: AnyExpr | null | undefined): Expression {
  const expression = (column as Partial<AnyExpr> | null)?.expression;
  if (expression !== undefined) return expression;
  throw millraceError(
    "DEFINITION_INVALID",
    `${name}(${String(column)}): it needs a column of a source, such as ${name}(payments.amount). A misspelt column is undefined.`,
  );
}

function readsEvents(expression: Expression): boolean {
  if (expression.op === "derive") return Object.values(expression.inputs).every(readsEvents);
  return expression.op === "column";
}

function build(meta: AggregateMeta): unknown {
  const refuse = (why: string): never => {
    throw millraceError("DEFINITION_INVALID", `${meta.aggregation.name}(): ${why}`);
  };
  return Object.freeze({
    aggregate: Object.freeze(meta),
    over: (windows: string | readonly string[]) => {
      if (meta.windows !== null) refuse("it has a window already.");
      for (const window of typeof windows === "string" ? [windows] : windows)
        checkWindow(meta.aggregation.name, window);
      return build({ ...meta, windows: typeof windows === "string" ? windows : Object.freeze([...windows]) });
    },
    where: (first: Filter<AnyExpr> | Readonly<Record<string, AnyExpr>>, fn?: (row: never) => unknown) => {
      if (meta.where !== null) refuse("it has a where already; combine the conditions in one function.");
      const predicate =
        fn === undefined
          ? (first as AnyExpr)
          : derive(first as Readonly<Record<string, AnyExpr>>, t.bool(), fn as never);
      if (predicate.expression.type.kind !== "bool" || !readsEvents(predicate.expression)) {
        refuse("where needs a bool column, or a function of the source's columns.");
      }
      return build({ ...meta, where: predicate.expression });
    },
    default: (value: unknown) => {
      const fallback = toValue(value, meta.type, `${meta.aggregation.name}().default`);
      const length = listLength(meta.aggregation);
      if (length !== null && (fallback as readonly Value[]).length !== length) {
        refuse(`its default needs as many values as it gives, ${length}.`);
      }
      return build({ ...meta, default: fallback, type: { ...meta.type, nullable: false } });
    },
    ttl: (age: string) => build({ ...meta, ttlMs: durationMs(age) }),
  });
}

/** A window is a whole number of seconds, at least 12 s. */
function checkWindow(name: string, window: string): void {
  const ms = durationMs(window);
  if (ms % 1_000 !== 0 || ms < 12_000) {
    throw millraceError(
      "DEFINITION_INVALID",
      `${name}().over("${window}"): a window is a whole number of seconds, at least 12s.`,
    );
  }
}
