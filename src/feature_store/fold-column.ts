import type { Value } from "../definitions/value.ts";
import type { ColumnValues } from "./offline/point-in-time.ts";

/** A column of events in a form that threads share without a copy: all but the distinct values of texts and lists. */
export type FoldColumn =
  | Float64Array
  | readonly Value[]
  | { readonly items: BigInt64Array; readonly isNull: Uint8Array }
  | { readonly codes: Int32Array; readonly distinct: readonly Value[] };

/** The first `count` values in shared memory. Numbers that lie there already stay where they are. */
export function shareColumn(column: FoldColumn, count: number): FoldColumn {
  if (column instanceof Float64Array) return sharedArray(column);
  if (!("length" in column)) return column;
  let longs = 0;
  let numbers = 0;
  let nulls = 0;
  for (let i = 0; i < count; i++) {
    const value = column[i]!;
    if (value === null) nulls++;
    else if (typeof value === "bigint") longs++;
    else if (typeof value === "number") numbers++;
  }
  if (longs + nulls === count) {
    const items = new BigInt64Array(new SharedArrayBuffer(count * 8));
    const isNull = new Uint8Array(new SharedArrayBuffer(count));
    for (let i = 0; i < count; i++) {
      const value = column[i]!;
      if (value === null) isNull[i] = 1;
      else items[i] = value as bigint;
    }
    return { items, isNull };
  }
  if (numbers + nulls === count) {
    const items = new Float64Array(new SharedArrayBuffer(count * 8));
    for (let i = 0; i < count; i++) items[i] = (column[i] as number | null) ?? Number.NaN;
    return items;
  }
  const codes = new Int32Array(new SharedArrayBuffer(count * 4));
  const codeOf = new Map<Value, number>();
  for (let i = 0; i < count; i++) {
    const value = column[i]!;
    let code = codeOf.get(value);
    if (code === undefined) {
      code = codeOf.size;
      codeOf.set(value, code);
    }
    codes[i] = code;
  }
  return { codes, distinct: [...codeOf.keys()] };
}

/** The values at these positions, in their order. */
export function gatherColumn(column: FoldColumn, positions: Int32Array): ColumnValues {
  const count = positions.length;
  if (column instanceof Float64Array) {
    const values = new Float64Array(count);
    for (let i = 0; i < count; i++) values[i] = column[positions[i]!]!;
    return values;
  }
  const values = new Array<Value>(count);
  if ("length" in column) {
    for (let i = 0; i < count; i++) values[i] = column[positions[i]!]!;
  } else if ("items" in column) {
    const { items, isNull } = column;
    for (let i = 0; i < count; i++) {
      const position = positions[i]!;
      values[i] = isNull[position] === 1 ? null : items[position]!;
    }
  } else {
    const { codes, distinct } = column;
    for (let i = 0; i < count; i++) values[i] = distinct[codes[positions[i]!]!]!;
  }
  return values;
}

/** The array itself if it lies in shared memory, else a copy that does. */
export function sharedArray<Items extends Float64Array | Int32Array | Uint32Array | Uint8Array>(items: Items): Items {
  if (items.buffer instanceof SharedArrayBuffer) return items;
  const copy = new (items.constructor as new (buffer: SharedArrayBuffer) => Items)(
    new SharedArrayBuffer(items.byteLength),
  );
  copy.set(items);
  return copy;
}
