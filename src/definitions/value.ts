/**
 * A value inside the platform. Timestamps are integer epoch milliseconds (UTC), int64 is a bigint, and a list is an
 * array of the others. Numbers are finite and never −0: inputs that are not finite become null, −0 becomes 0.
 */
export type Value = null | string | number | bigint | boolean | readonly Value[];

/** The name of a column's type in a plan. */
export type ColumnKind = "string" | "int64" | "int32" | "float64" | "bool" | "timestamp" | "one_of" | "list";

/** A column's type as plain data: what a plan holds and every adapter reads. */
export interface ColumnTypeSpec {
  readonly kind: ColumnKind;
  readonly nullable: boolean;
  /** The allowed values of a `one_of`, in declared order. */
  readonly values?: readonly string[];
  /** The item type of a `list`. */
  readonly item?: ColumnTypeSpec;
}
