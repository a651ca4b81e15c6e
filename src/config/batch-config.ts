import { BATCH_VARIABLES, type BatchLimits, DEFAULT_BATCH_LIMITS } from "../api/batch/batch-limits.ts";
import { millraceError } from "../definitions/errors.ts";

const LEAST: Readonly<Record<keyof BatchLimits, number>> = {
  bodyBytes: 1_024,
  rows: 1,
  chunkRows: 1,
  rowBytes: 64,
  recordBatchBytes: 1_024,
  spoolBytes: 0,
  idleSeconds: 1,
};
const MOST: Readonly<Record<keyof BatchLimits, number>> = {
  bodyBytes: 2 ** 50,
  rows: 2 ** 50,
  chunkRows: 1e6,
  rowBytes: 2 ** 29,
  recordBatchBytes: 2 ** 32,
  spoolBytes: 2 ** 50,
  idleSeconds: 86_400,
};

/** Fills in and checks `server.batch`. @throws `CONFIG_INVALID`, naming the value or variable */
export function resolveBatch(
  given: Partial<BatchLimits> | undefined,
  env: Readonly<Record<string, string | undefined>>,
): BatchLimits {
  const names = Object.keys(DEFAULT_BATCH_LIMITS) as (keyof BatchLimits)[];
  if (given !== undefined && (typeof given !== "object" || given === null)) {
    throw millraceError("CONFIG_INVALID", `server.batch must be an object of ${names.join(", ")}.`);
  }
  const unknown = Object.keys(given ?? {}).find((name) => !Object.hasOwn(DEFAULT_BATCH_LIMITS, name));
  if (unknown !== undefined) {
    throw millraceError("CONFIG_INVALID", `server.batch has no '${unknown}': known here are ${names.join(", ")}.`);
  }
  const numbers = names.map((name) => {
    const text = env[BATCH_VARIABLES[name]];
    const value =
      text === undefined
        ? (given?.[name] ?? DEFAULT_BATCH_LIMITS[name])
        : text.trim() === ""
          ? Number.NaN
          : Number(text);
    if (Number.isInteger(value) && value >= LEAST[name] && value <= MOST[name]) return [name, value] as const;
    const from = text === undefined ? `server.batch.${name}` : `the variable ${BATCH_VARIABLES[name]}`;
    throw millraceError("CONFIG_INVALID", `${from} must be a whole number from ${LEAST[name]} to ${MOST[name]}.`, {
      details: { name: from },
    });
  });
  // One of each name.
  return Object.fromEntries(numbers) as unknown as BatchLimits;
}
