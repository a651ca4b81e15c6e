import type { ColumnTypeSpec, Value } from "../definitions/value.ts";

/**
 * Internal values as JSON has them: timestamps as ISO 8601 UTC, int64 as a number up to 2^53 − 1 and as text beyond,
 * doubles in shortest round-trip form.
 */
export function jsonValue(value: Value, type: ColumnTypeSpec): unknown {
  if (value === null) return null;
  if (type.kind === "timestamp") return new Date(value as number).toISOString();
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (type.kind === "list") return (value as readonly Value[]).map((item) => jsonValue(item, type.item!));
  return value;
}

/** A row as an object by column name. */
export function jsonRow(
  columns: readonly { readonly name: string; readonly type: ColumnTypeSpec }[],
  row: readonly Value[],
): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (let i = 0; i < columns.length; i++) out[columns[i]!.name] = jsonValue(row[i]!, columns[i]!.type);
  return out;
}

/** For values of which only the JavaScript type is known. */
export function jsonReplacer(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? (Number.isSafeInteger(Number(value)) ? Number(value) : String(value)) : value;
}
