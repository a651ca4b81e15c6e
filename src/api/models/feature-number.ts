import type { Value } from "../../definitions/value.ts";
import { modelError } from "./model-errors.ts";

/** A value as a float input: null is NaN (missing), booleans are 0 and 1, bigints the nearest number. */
export function featureNumber(value: Value | undefined, name: string): number {
  switch (typeof value) {
    case "number":
      return value;
    case "boolean":
      return value ? 1 : 0;
    case "bigint":
      return Number(value);
    default:
      if (value === null || value === undefined) return Number.NaN;
      throw invalidInput(value, name, "a number");
  }
}

/** A whole number for an integer input, which has no missing value. */
export function featureInteger(value: Value | undefined, name: string): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  throw invalidInput(value, name, "a whole number");
}

export function invalidInput(value: Value | undefined, name: string, wanted: string): Error {
  const got = value === null || value === undefined ? "null" : Array.isArray(value) ? "a list" : `a ${typeof value}`;
  return modelError(
    "MODEL_INPUT_INVALID",
    `The model's input "${name}" takes ${wanted} and was given ${got}. Encode or default the feature before it reaches the model.`,
    { details: { input: name, wanted, got } },
  );
}
