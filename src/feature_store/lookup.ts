import { millraceError } from "../definitions/errors.ts";
import type { FeatureServiceMeta } from "../definitions/feature-service.ts";
import type { ColumnTypeSpec, Value } from "../definitions/value.ts";

/** Reads the lookup columns of one row, in the order of `service.lookup`. */
export type LookupReader = (row: Readonly<Record<string, unknown>>) => Value[];

/**
 * Compiles how a service's lookup rows are read: from JSON (timestamps as ISO 8601 with a zone or epoch milliseconds,
 * int64 as digits or numbers) or native values (`Date`, `bigint`).
 * @throws from the reader: `LOOKUP_COLUMN_MISSING`, `LOOKUP_COLUMN_UNKNOWN`, `LOOKUP_INVALID`; all name the column.
 */
export function compileLookup(service: FeatureServiceMeta, alsoAllowed: readonly string[] = []): LookupReader {
  const { lookup } = service;
  const known = new Set([...lookup.map((column) => column.name), ...alsoAllowed]);
  return (row) => {
    const values = new Array<Value>(lookup.length);
    let present = 0;
    for (let i = 0; i < lookup.length; i++) {
      const { name, type, role } = lookup[i]!;
      const raw = row[name];
      if (raw !== undefined) present++;
      if (raw === undefined || raw === null) {
        // A key that is null belongs to no entity: its features are NOT_FOUND. It must be said, not left out.
        if (role === "key" ? raw === null : type.nullable) {
          values[i] = null;
          continue;
        }
        const what = role === "key" ? "entity key" : "request column";
        throw millraceError(
          "LOOKUP_COLUMN_MISSING",
          `Service '${service.name}' needs the ${what} '${name}' (${type.kind}): it is ${raw === null ? "null" : "missing"}. It looks up ${lookup.map((c) => c.name).join(", ")}.`,
          { details: { column: name } },
        );
      }
      values[i] = readValue(raw, type, service.name, name);
    }
    if (Object.keys(row).length > present) {
      const unknown = Object.keys(row).find((name) => !known.has(name));
      if (unknown !== undefined) {
        throw millraceError(
          "LOOKUP_COLUMN_UNKNOWN",
          `Service '${service.name}' has no lookup column '${unknown}': it looks up ${lookup.map((c) => c.name).join(", ")}.`,
          { details: { column: unknown } },
        );
      }
    }
    return values;
  };
}

const ISO_WITH_ZONE = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$/;

/** Epoch milliseconds of a `Date`, a number, or ISO 8601 text with a zone; null for anything else. */
export function readTime(raw: unknown): number | null {
  const ms =
    raw instanceof Date
      ? raw.getTime()
      : typeof raw === "number"
        ? Math.floor(raw)
        : typeof raw === "string" && ISO_WITH_ZONE.test(raw)
          ? Date.parse(raw)
          : Number.NaN;
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? ms : null;
}

function readValue(raw: unknown, type: ColumnTypeSpec, service: string, name: string): Value {
  const value = convert(raw, type);
  if (value !== undefined) return value;
  const shown =
    typeof raw === "string" ? `a text of ${raw.length} characters` : Array.isArray(raw) ? "a list" : `a ${typeof raw}`;
  throw millraceError(
    "LOOKUP_INVALID",
    `Lookup column '${name}' of service '${service}' must be ${describe(type)}; what came is ${shown}.`,
    { details: { column: name, expected: type.kind } },
  );
}

function describe(type: ColumnTypeSpec): string {
  if (type.kind === "one_of") return `one of ${type.values?.join(", ")}`;
  if (type.kind === "timestamp") return "a timestamp (ISO 8601 with a zone, or epoch milliseconds)";
  if (type.kind === "int64") return "an int64 (a whole number, or its digits as text)";
  return `a ${type.kind}`;
}

function convert(raw: unknown, type: ColumnTypeSpec): Value | undefined {
  switch (type.kind) {
    case "string":
      return typeof raw === "string" ? raw.toWellFormed() : undefined;
    case "one_of":
      return typeof raw === "string" && type.values?.includes(raw) ? raw : undefined;
    case "bool":
      return typeof raw === "boolean" ? raw : undefined;
    case "float64":
      if (typeof raw === "bigint") return Number(raw);
      return typeof raw === "number" && Number.isFinite(raw) ? raw + 0 : undefined;
    case "int32":
      return typeof raw === "number" && Number.isInteger(raw) && Math.abs(raw) < 2 ** 31 ? raw + 0 : undefined;
    case "int64": {
      if (typeof raw === "number" && !Number.isSafeInteger(raw)) return undefined;
      if (typeof raw === "string" && !/^-?\d{1,19}$/.test(raw)) return undefined;
      if (typeof raw !== "bigint" && typeof raw !== "number" && typeof raw !== "string") return undefined;
      const value = BigInt(raw);
      return BigInt.asIntN(64, value) === value ? value : undefined;
    }
    case "timestamp":
      return readTime(raw) ?? undefined;
    case "list": {
      const { item } = type;
      if (!Array.isArray(raw) || item === undefined) return undefined;
      const items = raw.map((v: unknown) => (v === null && item.nullable ? null : convert(v, item)));
      return items.includes(undefined) ? undefined : (items as Value[]);
    }
  }
}
