import { isMillraceError } from "../../definitions/errors.ts";

/** An error as a log line has it. */
export interface LoggedError {
  readonly type: string;
  readonly code?: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
  /** Of bugs only: the others say what happened. */
  readonly stack?: string;
  readonly cause?: LoggedError;
}

const DEEPEST = 5;

/**
 * What a log line says of an error: nothing but its type, code, message, details and causes. Clients' errors have more,
 * such as the command with its arguments, which may be a password or the key of an entity.
 */
export function logError(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const { name, message, cause } = error;
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  const known = isMillraceError(error) && error.kind !== "bug";
  const details = isMillraceError(error) && Object.keys(error.details).length > 0 ? { details: error.details } : {};
  return {
    type: name,
    ...code,
    message,
    ...details,
    ...(known || depth > 0 || error.stack === undefined ? {} : { stack: error.stack }),
    ...(cause === undefined || depth === DEEPEST ? {} : { cause: logError(cause, depth + 1) }),
  };
}
