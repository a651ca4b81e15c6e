import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** Makes of an internal value what user code sees: timestamps become Dates, lists are copied. */
export type ToUser = (value: Value) => unknown;

/** The conversion of a type's values for user code; null if they are passed as they are. */
export function toUserOf(type: ColumnTypeSpec): ToUser | null {
  if (type.kind === "timestamp") return (value) => (value === null ? null : new Date(value as number));
  if (type.kind !== "list") return null;
  const item = type.item === undefined ? null : toUserOf(type.item);
  // Copied, so that a function that sorts its list in place cannot change the stored one.
  return item === null
    ? (value) => (value === null ? null : (value as readonly Value[]).slice())
    : (value) => (value === null ? null : (value as readonly Value[]).map(item));
}

/** Makes of a user function's result an internal value; undefined if it is not of the type. */
export type FromUser = (result: unknown) => Value | undefined;

/**
 * The check of a type's values that user code made: a Date becomes milliseconds, −0 becomes 0, a number that is not
 * finite (or an invalid Date) is a null. A null is of the type only if that is nullable.
 */
export function fromUserOf(type: ColumnTypeSpec): FromUser {
  const ofNull = type.nullable ? null : undefined;
  const check = fromNonNull(type, ofNull);
  return (result) => (result === null ? ofNull : check(result));
}

function fromNonNull(type: ColumnTypeSpec, ofNull: null | undefined): FromUser {
  switch (type.kind) {
    case "string":
      return (result) => (typeof result === "string" ? result : undefined);
    case "one_of": {
      const values = new Set(type.values);
      return (result) => (typeof result === "string" && values.has(result) ? result : undefined);
    }
    case "int64":
      return (result) =>
        typeof result === "bigint" && result >= INT64_MIN && result <= INT64_MAX ? result : undefined;
    case "int32":
      return (result) => {
        if (typeof result !== "number") return undefined;
        // True for whole numbers within 32 bits; −0 becomes 0.
        if ((result | 0) === result) return result | 0;
        return Number.isFinite(result) ? undefined : ofNull;
      };
    case "float64":
      return (result) => {
        if (typeof result !== "number") return undefined;
        return Number.isFinite(result) ? result + 0 : ofNull;
      };
    case "bool":
      return (result) => (typeof result === "boolean" ? result : undefined);
    case "timestamp":
      return (result) => {
        if (!(result instanceof Date)) return undefined;
        const ms = result.getTime();
        return Number.isFinite(ms) ? ms : ofNull;
      };
    case "list": {
      if (type.item === undefined) return () => undefined;
      const item = fromUserOf(type.item);
      return (result) => {
        if (!Array.isArray(result)) return undefined;
        const values: Value[] = [];
        for (let index = 0; index < result.length; index++) {
          const value = item(result[index]);
          if (value === undefined) return undefined;
          values.push(value);
        }
        return values;
      };
    }
  }
}
