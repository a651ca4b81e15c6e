import type { ColumnTypeSpec } from "../definitions/value.ts";

/** A type as an answer names it: a feature's `types` give the kind alone. */
export type AnswerType = Pick<ColumnTypeSpec, "kind"> & { readonly item?: AnswerType };

/** A value of an answer's JSON as user code has it: int64 a bigint, a timestamp a Date, the rest as they are. */
export function readValue(value: unknown, type: AnswerType): unknown {
  if (value === null || value === undefined) return null;
  switch (type.kind) {
    case "int64":
      return BigInt(value as number | string);
    case "timestamp":
      return new Date(value as string);
    case "list":
      return (value as readonly unknown[]).map((item) => readValue(item, type.item ?? { kind: "string" }));
    default:
      return value;
  }
}

/** A lookup's values as the request's JSON has them: a bigint as its digits, a Date in ISO 8601 UTC. */
export function writeLookups(rows: readonly unknown[]): unknown {
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row as Readonly<Record<string, unknown>>).map(([k, v]) => [k, writeValue(v)])),
  );
}

function writeValue(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Date) return value.toISOString();
  return Array.isArray(value) ? value.map(writeValue) : value;
}
