import { type MillraceError, millraceError } from "../../definitions/errors.ts";

export function sqlInvalid(reason: string, cause?: unknown): MillraceError {
  return millraceError(
    "SQL_INVALID",
    `The query of the entity frame cannot be run: ${reason}. Give one SELECT that reads from the cold store, with the lookup columns and event_timestamp.`,
    cause === undefined ? {} : { cause },
  );
}

export function sqlTimeout(timeoutMs: number): MillraceError {
  return millraceError(
    "SQL_TIMEOUT",
    `The query of the entity frame took more than ${timeoutMs / 1_000} s and was ended: make it smaller, or allow more time.`,
  );
}
