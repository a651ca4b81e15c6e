import { millraceError } from "./errors.ts";
import type { ColumnTypeSpec } from "./value.ts";

/** A column's type; `T` is what user code sees (timestamps as `Date`, int64 as `bigint`). */
export interface ColumnType<out T> {
  readonly spec: ColumnTypeSpec;
  /** The same type with null allowed. */
  nullable(): ColumnType<T | null>;
  readonly "~type"?: T;
}

/** Columns by name. */
export type Schema = Readonly<Record<string, ColumnType<unknown>>>;

export type InferColumn<C> = C extends ColumnType<infer T> ? T : never;
export type InferSchema<S extends Schema> = { -readonly [K in keyof S]: InferColumn<S[K]> };

function columnType<T>(spec: ColumnTypeSpec): ColumnType<T> {
  return Object.freeze({
    spec: Object.freeze(spec),
    nullable: () => columnType<T | null>({ ...spec, nullable: true }),
  });
}

interface ColumnTypes {
  /** Unicode text. */
  string(): ColumnType<string>;
  /** A whole number of −2^63 to 2^63 − 1, a `bigint` in user code. */
  int64(): ColumnType<bigint>;
  /** A whole number of −2^31 to 2^31 − 1. */
  int32(): ColumnType<number>;
  /** A finite double; inputs that are not finite become null. */
  float64(): ColumnType<number>;
  bool(): ColumnType<boolean>;
  /** A moment in UTC to the millisecond; finer inputs are rounded down. */
  timestamp(): ColumnType<Date>;
  /** One of the listed texts. */
  oneOf<const V extends readonly [string, ...string[]]>(...values: V): ColumnType<V[number]>;
  list<T>(item: ColumnType<T>): ColumnType<readonly T[]>;
}

/** The column types. */
export const t: ColumnTypes = {
  string: () => columnType({ kind: "string", nullable: false }),
  int64: () => columnType({ kind: "int64", nullable: false }),
  int32: () => columnType({ kind: "int32", nullable: false }),
  float64: () => columnType({ kind: "float64", nullable: false }),
  bool: () => columnType({ kind: "bool", nullable: false }),
  timestamp: () => columnType({ kind: "timestamp", nullable: false }),
  oneOf: (...values) => {
    if (values.length === 0 || new Set(values).size !== values.length) {
      throw millraceError("DEFINITION_INVALID", `t.oneOf(${values.join(", ")}) needs at least one value, each once.`);
    }
    return columnType({ kind: "one_of", nullable: false, values: Object.freeze([...values]) });
  },
  list: (item) => columnType({ kind: "list", nullable: false, item: item.spec }),
};
