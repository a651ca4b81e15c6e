import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";

const DIGITS = /^-?\d{1,19}$/;
const WITHOUT_ZONE = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?$/;

/**
 * A value of a row that comes whole, as the column's type: numbers of any kind for a float64, whole ones for integers,
 * 0 and 1 for a bool, ISO 8601 (UTC if no zone is given) or epoch milliseconds for a timestamp. Null, and what is not
 * finite, is missing: any float64 may be, of the others those that may be null. Undefined if the value does not fit.
 */
export function wholeValue(raw: unknown, type: ColumnTypeSpec): Value | undefined {
  if (raw === null || raw === undefined || (typeof raw === "number" && !Number.isFinite(raw))) {
    return type.nullable || type.kind === "float64" ? null : undefined;
  }
  switch (type.kind) {
    case "float64":
      if (typeof raw === "number") return raw + 0;
      return typeof raw === "bigint" ? Number(raw) : typeof raw === "boolean" ? Number(raw) : undefined;
    case "int32": {
      const value = typeof raw === "boolean" || typeof raw === "bigint" ? Number(raw) : raw;
      return typeof value === "number" && value === (value | 0) ? value + 0 : undefined;
    }
    case "int64": {
      if (typeof raw === "number" ? !Number.isSafeInteger(raw) : typeof raw === "string" && !DIGITS.test(raw)) return;
      if (typeof raw !== "number" && typeof raw !== "string" && typeof raw !== "bigint" && typeof raw !== "boolean")
        return;
      const value = BigInt(raw);
      return BigInt.asIntN(64, value) === value ? value : undefined;
    }
    case "bool":
      if (typeof raw === "boolean") return raw;
      return raw === 0 || raw === 0n ? false : raw === 1 || raw === 1n ? true : undefined;
    case "string":
      return typeof raw === "string" ? raw.toWellFormed() : undefined;
    case "one_of":
      // One that the declaration does not know is the model's to judge, as in training.
      return typeof raw === "string" ? raw.toWellFormed() : undefined;
    case "timestamp":
      return timestamp(raw);
    case "list": {
      const { item } = type;
      if (!Array.isArray(raw) || item === undefined) return undefined;
      const items = raw.map((one: unknown) => wholeValue(one, item));
      return items.includes(undefined) ? undefined : (items as Value[]);
    }
  }
}

function timestamp(raw: unknown): number | undefined {
  const ms =
    raw instanceof Date
      ? raw.getTime()
      : typeof raw === "number" || typeof raw === "bigint"
        ? Math.floor(Number(raw))
        : typeof raw === "string"
          ? Date.parse(WITHOUT_ZONE.test(raw) ? `${raw.length === 10 ? `${raw}T00:00` : raw.replace(" ", "T")}Z` : raw)
          : Number.NaN;
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? ms : undefined;
}

/** A value written as text, as in CSV; the text of a number or a bool may have blanks around it. Else as {@link wholeValue}. */
export function textValue(text: string, type: ColumnTypeSpec): Value | undefined {
  if (type.kind === "string" || type.kind === "one_of") return wholeValue(text, type);
  const trimmed = text.trim();
  if (MISSING.has(trimmed)) return wholeValue(null, type);
  switch (type.kind) {
    case "bool": {
      return /^(true|1|1\.0)$/i.test(trimmed) ? true : /^(false|0|0\.0)$/i.test(trimmed) ? false : undefined;
    }
    case "int64":
      return DIGITS.test(trimmed) ? wholeValue(trimmed, type) : wholeValue(numberOf(trimmed), type);
    case "float64":
    case "int32":
      return wholeValue(numberOf(trimmed), type);
    default:
      return wholeValue(trimmed, type);
  }
}

/** What pandas writes and reads for a missing value. */
const MISSING: ReadonlySet<string> = new Set(["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>"]);

/** A text that is no number stays one, and so fits no number's column. */
function numberOf(text: string): number | string {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
}

/** What a column takes, for messages. */
export function wholeKind(type: ColumnTypeSpec): string {
  switch (type.kind) {
    case "float64":
      return "a number";
    case "int32":
    case "int64":
      return `a whole number (${type.kind})`;
    case "bool":
      return "true, false, 0 or 1";
    case "string":
    case "one_of":
      return "a text";
    case "timestamp":
      return "a timestamp (ISO 8601 or epoch milliseconds)";
    case "list":
      return "a list";
  }
}

/** True if numbers alone can say all values that such a column has. */
export function isNumeric(type: ColumnTypeSpec): boolean {
  return type.kind === "float64" || type.kind === "int32" || type.kind === "int64" || type.kind === "bool";
}
