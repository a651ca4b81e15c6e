import { type MillraceError, type MillraceErrorOptions, millraceError } from "../definitions/errors.ts";

/** The codes of all errors that this layer throws. */
export type IngestionErrorCode =
  | "BACK_PRESSURE"
  | "COLUMN_UNKNOWN"
  | "DEAD_LETTER_THRESHOLD"
  | "DECODE_FAILED"
  | "FILE_COLUMN_MISSING"
  | "FILE_CORRUPT"
  | "FILE_FORMAT_UNKNOWN"
  | "FILE_NOT_FOUND"
  | "FILE_UNREADABLE"
  | "INGESTION_RUNNING"
  | "INVALID_VALUE"
  | "KAFKA_DENIED"
  | "KAFKA_OFFSET_GONE"
  | "KAFKA_TOPIC_UNKNOWN"
  | "KAFKA_UNAVAILABLE"
  | "KINESIS_CURSOR_INVALID"
  | "KINESIS_DENIED"
  | "KINESIS_STREAM_UNKNOWN"
  | "KINESIS_UNAVAILABLE"
  | "PACKAGE_MISSING"
  | "PUBSUB_DENIED"
  | "PUBSUB_SUBSCRIPTION_UNKNOWN"
  | "PUBSUB_UNAVAILABLE"
  | "PUSH_TOO_LARGE"
  | "REPLAY_SOURCE_LEFT"
  | "SCHEMA_INVALID"
  | "SCHEMA_REGISTRY_DENIED"
  | "SCHEMA_REGISTRY_MISSING"
  | "SCHEMA_REGISTRY_UNAVAILABLE"
  | "SCHEMA_UNKNOWN"
  | "SOURCE_CLOSED"
  | "SOURCE_NOT_OPEN";

/** Makes an error of this layer; the message says what, why and what to do. */
export function ingestionError(
  code: IngestionErrorCode,
  message: string,
  options?: MillraceErrorOptions,
): MillraceError {
  return millraceError(code, message, options);
}
