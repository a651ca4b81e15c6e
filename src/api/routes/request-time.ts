import { millraceError } from "../../definitions/errors.ts";
import { readTime } from "../../feature_store/lookup.ts";

/** The JSON schema of a moment in a request. */
export const timeSchema = {
  anyOf: [{ type: "string" }, { type: "number" }],
  description: "ISO 8601 with a zone, or epoch milliseconds",
} as const;

/** The JSON schema of lookup rows. */
export const rowsSchema = {
  type: "array",
  minItems: 1,
  items: { type: "object" },
  description: "One lookup per row: entity keys and request columns by name",
} as const;

/** @throws `TIME_INVALID`, naming the field */
export function requestTime(field: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const time = readTime(value);
  if (time === null) {
    throw millraceError(
      "TIME_INVALID",
      `'${field}' must be a moment: ISO 8601 with a zone (2013-03-01T12:00:00Z), or epoch milliseconds.`,
    );
  }
  return time;
}
