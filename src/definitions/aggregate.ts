import { type AggregationName, type AggregationSpec, aggregationType } from "./aggregation-spec.ts";
import { t } from "./column-type.ts";
import { derive, toValue } from "./derive.ts";
import { type CheckedDuration, durationMs } from "./duration.ts";
import { millraceError } from "./errors.ts";
import type { AnyExpr, Expr, Expression, StreamOf, ValueOf } from "./expression.ts";
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

/** `latest` and `last_n`: without a window they look at all of the past. */
export interface Lifetime<T, S extends string> extends Agg<T, S, "lifetime"> {
  over<const W extends string | readonly [string, ...string[]]>(window: W & CheckedWindows<W>): Windowed<T, S, W>;
  where<P extends string>(predicate: Expr<boolean | null, P>): Lifetime<T, S | P>;
  where<const I extends Inputs<string>>(
    inputs: I,
    fn: (row: RowOf<I>) => boolean | null,
  ): Lifetime<T, S | StreamOf<I[keyof I]>>;
  default(value: NonNullable<T>): Lifetime<NonNullable<T>, S>;
  /** Valid while its event is at most this old; afterwards null with status `OUTSIDE_MAX_AGE`. */
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
/** The values of the latest `n` events (1 to 1,000), oldest first: an empty list if there are none. Nulls are facts. */
export function lastN<T, S extends string>(column: Expr<T, S>, n: number): Lifetime<readonly T[], S> {
  if (!Number.isInteger(n) || n < 1 || n > 1_000) {
    throw millraceError("DEFINITION_INVALID", `lastN(column, ${n}): n must be a whole number from 1 to 1,000.`);
  }
  return aggregate("last_n", column, null, n);
}
/**
 * How many different values: exact up to 512 (to 64-bit hash collisions), above that HyperLogLog with 4,096 registers,
 * standard error 1.6%. Nulls are ignored; 0 for an empty window.
 */
export const countDistinct = <S extends string>(column: Expr<unknown, S>): NeedsWindow<number, S> =>
  aggregate("count_distinct", column, null);

const NUMBERS: readonly ColumnKind[] = ["float64", "int32", "int64"];
const ORDERED: readonly ColumnKind[] = ["float64", "int32", "int64", "timestamp"];

// The result is one object with every method; the interfaces above say which of them may be called when.
function aggregate<A>(
  name: AggregationName,
  column: AnyExpr | null,
  kinds: readonly ColumnKind[] | null,
  n?: number,
): A {
  const input = name === "count" ? null : expressionOf(name, column);
  if (input !== null && kinds !== null && !kinds.includes(input.type.kind)) {
    throw millraceError(
      "DEFINITION_INVALID",
      `${name}() needs a column of type ${kinds.join(", ")}, not ${input.type.kind}.`,
    );
  }
  if (input !== null && !readsEvents(input)) {
    throw millraceError(
      "DEFINITION_INVALID",
      `${name}() aggregates a source's column, or a derive over such columns only.`,
    );
  }
  const aggregation: AggregationSpec = { name, input: input?.type ?? null, ...(n === undefined ? {} : { n }) };
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
    default: (value: unknown) =>
      build({
        ...meta,
        default: toValue(value, meta.type, `${meta.aggregation.name}().default`),
        type: { ...meta.type, nullable: false },
      }),
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
