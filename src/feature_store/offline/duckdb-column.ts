import type { DuckDBListVector, DuckDBType, DuckDBValue, DuckDBVector } from "@duckdb/node-api";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { storeError } from "../store-error.ts";
import type { DuckdbApi } from "./duckdb-database.ts";

/** How the values of one column enter and leave DuckDB's vectors. */
export interface DuckdbColumn {
  readonly type: DuckDBType;
  /** Writes the first `count` values; NaN in a typed array is null. */
  write(vector: DuckDBVector, values: readonly Value[] | Float64Array, count: number): void;
  /** Reads `count` values and hands each on with its index. */
  read(vector: DuckDBVector, count: number, take: (index: number, value: Value) => void): void;
}

/** The column of a declared type, with the type that any other tool sees too. */
export function duckdbColumn(api: DuckdbApi, type: ColumnTypeSpec): DuckdbColumn {
  switch (type.kind) {
    case "string":
    case "one_of":
      return textColumn(api);
    case "int64":
      return fixedColumn(api.BIGINT, bigints, (items, index, value) => {
        items[index] = value as bigint;
      });
    case "int32":
      return fixedColumn(api.INTEGER, int32s, setNumber);
    case "float64":
      return fixedColumn(api.DOUBLE, float64s, setNumber);
    case "bool":
      return fixedColumn(
        api.BOOLEAN,
        booleans,
        (items, index, value) => {
          items[index] = value === true ? 1 : 0;
        },
        (items, index) => items[index] === 1,
      );
    case "timestamp":
      return fixedColumn(api.TIMESTAMP_MS, words, setWide, getWide);
    case "list":
      return listColumn(api, type);
  }
}

/** A column of integers up to 2^53, as BIGINT. */
export function wideColumn(api: DuckdbApi): DuckdbColumn {
  return fixedColumn(api.BIGINT, words, setWide, getWide);
}

/** A key's value, as a parameter of a statement. */
export function duckdbValue(api: DuckdbApi, type: ColumnTypeSpec, value: Value): DuckDBValue {
  if (type.kind === "timestamp") return new api.DuckDBTimestampMillisecondsValue(BigInt(value as number));
  return typeof value === "string" ? value.toWellFormed() : (value as DuckDBValue);
}

function fixedColumn<Items extends { [index: number]: Value }>(
  type: DuckDBType,
  itemsOf: (vector: DuckDBVector) => Items,
  set: (items: Items, index: number, value: Value) => void,
  get: (items: Items, index: number) => Value = (items, index) => items[index]!,
): DuckdbColumn {
  return {
    type,
    write(vector, values, count) {
      const items = itemsOf(vector);
      let nulls: Uint32Array | null = null;
      if (values instanceof Float64Array && items instanceof Float64Array) {
        items.set(values.length === count ? values : values.subarray(0, count));
        for (let index = 0; index < count; index++) {
          if (!Number.isNaN(items[index])) continue;
          nulls ??= writableNulls(vector);
          nulls[index >> 5]! &= ~(1 << (index & 31));
        }
        vector.flush();
        return;
      }
      for (let index = 0; index < count; index++) {
        const value = values[index]!;
        if (value !== null && !Number.isNaN(value)) {
          set(items, index, value);
        } else {
          nulls ??= writableNulls(vector);
          nulls[index >> 5]! &= ~(1 << (index & 31));
        }
      }
      vector.flush();
    },
    read(vector, count, take) {
      const items = itemsOf(vector);
      const nulls = readableNulls(vector);
      for (let index = 0; index < count; index++) {
        take(index, nulls === null || isValid(nulls, index) ? get(items, index) : null);
      }
    },
  };
}

function textColumn(api: DuckdbApi): DuckdbColumn {
  return {
    type: api.VARCHAR,
    write(vector, values, count) {
      for (let index = 0; index < count; index++) vector.setItem(index, values[index]! as string | null);
      vector.flush();
    },
    read(vector, count, take) {
      const heads = raw(vector).dataView;
      if (heads === undefined) throw unsupported();
      for (let index = 0; index < count; index++) {
        const text = vector.getItem(index) as string | null;
        take(index, text !== null && hasMark(heads, index) ? `\ufeff${text}` : text);
      }
    },
  };
}

/** DuckDB's decoder takes a byte order mark at the start away; the first four bytes lie behind the length. */
function hasMark(heads: DataView, index: number): boolean {
  const at = index * 16;
  return (heads.getUint32(at + 4, true) & 0xffffff) === 0xbfbbef && heads.getUint32(at, true) >= 3;
}

function listColumn(api: DuckdbApi, type: ColumnTypeSpec): DuckdbColumn {
  const item = duckdbColumn(api, type.item!);
  const toDuckdb = converter(api, type);
  return {
    type: api.LIST(item.type),
    write(vector, values, count) {
      for (let index = 0; index < count; index++) vector.setItem(index, toDuckdb(values[index]!));
      vector.flush();
    },
    read(vector, count, take) {
      const lists = vector as DuckDBListVector;
      const items: Value[] = [];
      item.read(lists.childVector, lists.childVector.itemCount, (index, value) => {
        items[index] = value;
      });
      const nulls = readableNulls(vector);
      for (let index = 0; index < count; index++) {
        if (nulls !== null && !isValid(nulls, index)) {
          take(index, null);
        } else {
          const start = lists.getEntryOffset(index);
          take(index, items.slice(start, start + lists.getEntryLength(index)));
        }
      }
    },
  };
}

/** How a value is given to a vector of lists. */
function converter(api: DuckdbApi, type: ColumnTypeSpec): (value: Value) => DuckDBValue {
  if (type.kind === "list") {
    const convertItem = converter(api, type.item!);
    return (value) => (value === null ? null : api.listValue((value as readonly Value[]).map(convertItem)));
  }
  if (type.kind === "timestamp") {
    return (value) => (value === null ? null : new api.DuckDBTimestampMillisecondsValue(BigInt(value as number)));
  }
  return (value) => value as DuckDBValue;
}

/**
 * What @duckdb/node-api 1.5 keeps in a vector, not in its types: typed arrays over a copy of the values. Writing them
 * directly is several times faster than `setItem` with its bigints and objects; `flush` copies them back.
 */
interface RawVector {
  readonly items?: BigInt64Array | Float64Array | Int32Array;
  readonly dataView?: DataView;
  readonly validity?: { readonly data: BigUint64Array | null };
}

function raw(vector: DuckDBVector): RawVector {
  return vector as unknown as RawVector;
}

function unsupported(): Error {
  return storeError(
    "OFFLINE_STORE_UNAVAILABLE",
    "This version of @duckdb/node-api is not supported: npm install @duckdb/node-api@1.5.",
  );
}

function bigints(vector: DuckDBVector): BigInt64Array {
  const { items } = raw(vector);
  if (items instanceof BigInt64Array) return items;
  throw unsupported();
}

/** Two 32-bit words per value, the lower first. */
function words(vector: DuckDBVector): Int32Array {
  const items = bigints(vector);
  return new Int32Array(items.buffer, items.byteOffset, items.length * 2);
}

export function int32s(vector: DuckDBVector): Int32Array {
  const { items } = raw(vector);
  if (items instanceof Int32Array) return items;
  throw unsupported();
}

export function float64s(vector: DuckDBVector): Float64Array {
  const { items } = raw(vector);
  if (items instanceof Float64Array) return items;
  throw unsupported();
}

function booleans(vector: DuckDBVector): Uint8Array {
  return new Uint8Array(...viewed(vector));
}

/** Four 32-bit words per value of a 128-bit column, the lowest first. */
export function quadWords(vector: DuckDBVector): Uint32Array {
  const [buffer, offset, length] = viewed(vector);
  return new Uint32Array(buffer, offset, length >> 2);
}

/** The words of a column of 64-bit values, the lower of each first; {@link getWide} reads one. */
export const doubleWords: (vector: DuckDBVector) => Int32Array = words;

function viewed(vector: DuckDBVector): [ArrayBufferLike, number, number] {
  const { dataView } = raw(vector);
  if (dataView === undefined) throw unsupported();
  return [dataView.buffer, dataView.byteOffset, dataView.byteLength];
}

const TWO_32 = 2 ** 32;

/** An integer of up to 53 bits and a sign into two words, without a bigint. */
export function setWide(items: Int32Array, index: number, value: Value): void {
  const high = Math.floor((value as number) / TWO_32);
  items[index * 2] = (value as number) - high * TWO_32;
  items[index * 2 + 1] = high;
}

export function getWide(items: Int32Array, index: number): number {
  return items[index * 2 + 1]! * TWO_32 + (items[index * 2]! >>> 0);
}

function setNumber(items: Int32Array | Float64Array, index: number, value: Value): void {
  items[index] = value as number;
}

/** One bit per value, set where it is not null; null if no value is. */
export function readableNulls(vector: DuckDBVector): Uint32Array | null {
  const { validity } = raw(vector);
  if (validity === undefined) throw unsupported();
  const { data } = validity;
  return data === null ? null : new Uint32Array(data.buffer, data.byteOffset, data.length * 2);
}

function writableNulls(vector: DuckDBVector): Uint32Array {
  // Makes the bits, all set but one.
  vector.setItem(0, null);
  const bits = readableNulls(vector);
  if (bits === null) throw unsupported();
  bits[0]! |= 1;
  return bits;
}

export function isValid(bits: Uint32Array, index: number): boolean {
  return (bits[index >> 5]! & (1 << (index & 31))) !== 0;
}
