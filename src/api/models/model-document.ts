import { corruptModel } from "./model-errors.ts";

/**
 * Strict readers for a parsed JSON or UBJSON document. Each fails with MODEL_CORRUPT, naming the place, instead of
 * letting a value of another shape through.
 */
export type DocumentObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown, place: string): DocumentObject {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw corruptModel(`${place} is not an object`);
  }
  return value as DocumentObject;
}

/** The field `key`; absent and inherited fields are undefined. */
export function field(object: DocumentObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

export function asText(value: unknown, place: string): string {
  if (typeof value !== "string") throw corruptModel(`${place} is not a text`);
  return value;
}

export function asArray(value: unknown, place: string): ArrayLike<unknown> {
  if (Array.isArray(value)) return value;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return value as unknown as ArrayLike<number>;
  throw corruptModel(`${place} is not an array`);
}

/** A whole number of 0 or more, given as a number or as decimal text; `fallback` (if not undefined) when absent. */
export function asCount(value: unknown, place: string, limit: number, fallback?: number): number {
  if (value === undefined && fallback !== undefined) return fallback;
  const count = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof count !== "number" || !Number.isInteger(count) || count < 0) {
    throw corruptModel(`${place} is not a whole number`);
  }
  if (count > limit) throw corruptModel(`${place} is ${count}, above the limit of ${limit}`);
  return count;
}

const NON_FINITE: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

/** Floats, rounded to float32. Texts like "NaN" stand for the numbers that JSON lacks. */
export function asFloats(value: unknown, place: string): Float32Array {
  if (value instanceof Float32Array) return value;
  const items = asArray(value, place);
  const floats = new Float32Array(items.length);
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    const number = typeof item === "string" && Object.hasOwn(NON_FINITE, item) ? NON_FINITE[item] : item;
    if (typeof number !== "number") throw corruptModel(`${place} holds something that is not a number at ${i}`);
    floats[i] = number;
  }
  return floats;
}

/** Whole numbers of the int32 range; booleans count as 0 and 1. */
export function asIntegers(value: unknown, place: string): Int32Array {
  if (value instanceof Int32Array) return value;
  const items = asArray(value, place);
  const integers = new Int32Array(items.length);
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    const number = typeof item === "boolean" ? Number(item) : item;
    // Unsigned 32-bit values (XGBoost's mark of a deleted node is 2^32 − 1) wrap into the int32 range.
    if (typeof number !== "number" || !Number.isInteger(number) || number < -(2 ** 31) || number >= 2 ** 32) {
      throw corruptModel(`${place} holds something that is not a 32-bit integer at ${i}`);
    }
    integers[i] = number;
  }
  return integers;
}
