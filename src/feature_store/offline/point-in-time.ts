import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";

/**
 * The values of one column. Those of `float64`, `int32` and `timestamp` (epoch milliseconds) lie in a typed array, with
 * NaN for null, which no value is.
 */
export type ColumnValues = Float64Array | Value[];

/** Moments of entities: the labels of entity `e` are those from `starts[e]` to before `starts[e + 1]`. */
export interface LabelQuery {
  readonly source: string;
  /** The columns that hold the entity's key, in the entity's declared order. */
  readonly keyColumns: readonly string[];
  /** Distinct, without nulls. */
  readonly keys: readonly (readonly Value[])[];
  readonly starts: Int32Array;
  /** t of each label, epoch milliseconds; ascending within an entity. */
  readonly times: Float64Array;
  /** How far before a label an event matters; Infinity for all of the past. Milliseconds. */
  readonly reachMs: number;
  /** The source's columns to give back. */
  readonly columns: readonly string[];
  /** How the source declares versions. */
  readonly version: VersionKind;
}

export type VersionKind = "none" | "number" | "int64";

/** The event that is the latest of its entity before each label. */
export interface LatestEvents {
  /** Per label an index into the rest; −1 if no event lies before it within reach. */
  readonly events: Int32Array;
  /** Epoch milliseconds. */
  readonly times: Float64Array;
  /** In the order of the query. */
  readonly columns: readonly ColumnValues[];
}

/** Where events stand in the order of events. */
export interface EventOrders {
  /** Null where the source has no versions. */
  readonly versions: readonly (number | bigint | null)[] | null;
  readonly ingestedAt: Float64Array;
  /** Four words per event, the most significant first. */
  readonly hashes: Uint32Array;
}

/** All events of some entities that one of their labels may count, in any order. */
export interface EventShare {
  readonly count: number;
  /** The index of the event's key in the query. */
  readonly entities: Int32Array;
  /** Epoch milliseconds. */
  readonly times: Float64Array;
  readonly orders: EventOrders | null;
  readonly columns: readonly ColumnValues[];
}

/**
 * What a store may offer beside `history`, by event time: reads in columns, which make training sets fast. A store
 * without it is read through `history`, with the same result.
 */
export interface PointInTimeReader {
  /** How many readings of the latest events it takes at once. Default 1. */
  readonly readings?: number;
  /** For each label the greatest event of its entity with an event time before it. */
  latest(query: LabelQuery): Promise<LatestEvents>;
  /** The events that labels may count, in shares of bounded size; each entity's events lie in one share. */
  events(query: LabelQuery & { readonly orders: boolean }): AsyncIterable<EventShare>;
}

/** True if the column's values lie in a typed array. */
export function isNumberColumn({ kind }: ColumnTypeSpec): boolean {
  return kind === "float64" || kind === "int32" || kind === "timestamp";
}

/** A column of `length` nulls; numbers lie in shared memory, where threads read and write them without a copy. */
export function createColumn(type: ColumnTypeSpec, length: number): ColumnValues {
  return isNumberColumn(type) ? sharedFloats(length).fill(Number.NaN) : new Array<Value>(length).fill(null);
}

/** Zeros in shared memory. */
export function sharedFloats(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(length * 8));
}

/** Zeros in shared memory. */
export function sharedInts(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(length * 4));
}

/** The value at an index. */
export function valueAt(column: ColumnValues, index: number): Value {
  const value = column[index]!;
  return Number.isNaN(value) ? null : value;
}

/** Some of a column's values; of numbers a view. */
export function sliceColumn(column: ColumnValues, from: number, to: number): ColumnValues {
  if (from === 0 && to === column.length) return column;
  return column instanceof Float64Array ? column.subarray(from, to) : column.slice(from, to);
}

/** The first of `values[from, to)`, which ascend, that is greater than `value`; `to` if none is. */
export function firstAfter(values: Float64Array, from: number, to: number, value: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The first of `values[from, to)`, which ascend, that is at least `value`; `to` if none is. */
export function firstFrom(values: Float64Array, from: number, to: number, value: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! >= value) high = middle;
    else low = middle + 1;
  }
  return low;
}
