import { type MillraceError, type MillraceErrorOptions, millraceError } from "../definitions/errors.ts";

/** The codes of all errors that the stores' adapters throw. */
export type StoreErrorCode =
  | "HISTORY_DROPPED"
  | "OFFLINE_STORE_BUSY"
  | "OFFLINE_STORE_CORRUPT"
  | "OFFLINE_STORE_LOCKED"
  | "OFFLINE_STORE_UNAVAILABLE"
  | "ONLINE_STORE_CORRUPT"
  | "ONLINE_STORE_FULL"
  | "ONLINE_STORE_NOT_DURABLE"
  | "ONLINE_STORE_ROLLED_BACK"
  | "ONLINE_STORE_TIMEOUT"
  | "ONLINE_STORE_UNAVAILABLE"
  | "PARTITION_FENCED"
  | "SCHEMA_INCOMPATIBLE"
  | "SOURCE_UNKNOWN";

/** Makes an error of a store; the message says what, why and what to do. */
export function storeError(code: StoreErrorCode, message: string, options?: MillraceErrorOptions): MillraceError {
  return millraceError(code, message, options);
}

/** The text of whatever was thrown. */
export function causeText(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
