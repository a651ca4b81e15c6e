import type { ColumnTypeSpec, Value } from "../definitions/value.ts";

interface JsonColumn {
  readonly name: string;
  readonly type: Pick<ColumnTypeSpec, "kind" | "item">;
}

/**
 * A value as JSON: doubles in shortest round-trip form, int64 as a number up to 2^53 − 1 and else as a string,
 * timestamps as ISO 8601 UTC, what is not finite as null.
 */
export function valueJson(value: Value | undefined, type: JsonColumn["type"]): string {
  switch (typeof value) {
    case "number":
      if (!Number.isFinite(value)) return "null";
      return type.kind === "timestamp" ? timeJson(value) : String(value);
    case "string":
      return JSON.stringify(value);
    case "boolean":
      return value ? "true" : "false";
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? String(value) : `"${value}"`;
    default: {
      if (value === null || value === undefined) return "null";
      const item = type.item ?? { kind: "string" as const };
      return `[${value.map((v) => valueJson(v, item)).join(",")}]`;
    }
  }
}

/** Epoch milliseconds as a JSON string in ISO 8601 UTC; null outside of what a `Date` can hold. */
export function timeJson(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? `"${new Date(ms).toISOString()}"` : "null";
}

/** Rows of values as JSON lists. */
export function rowsJson(rows: readonly (readonly Value[])[], columns: readonly JsonColumn[]): string {
  return `[${rows.map((row) => `[${row.map((value, i) => valueJson(value, columns[i]!.type)).join(",")}]`).join(",")}]`;
}

/** Compiles how rows of these columns are written as JSON objects. */
export function compileObjectJson<Row>(
  columns: readonly JsonColumn[],
  read: (row: Row, name: string, index: number) => Value | undefined,
): (row: Row) => string {
  const starts = columns.map(({ name }, i) => `${i === 0 ? "{" : ","}${JSON.stringify(name)}:`);
  return (row) => {
    let json = "";
    for (let i = 0; i < columns.length; i++) {
      json += starts[i]! + valueJson(read(row, columns[i]!.name, i), columns[i]!.type);
    }
    return json === "" ? "{}" : `${json}}`;
  };
}
