import type { MillraceError } from "../definitions/errors.ts";

/** The HTTP status of each error code that does not have the status of its kind. */
const STATUS: Readonly<Record<string, number>> = {
  UNAUTHORIZED: 401,
  ADMIN_DISABLED: 403,
  ROUTE_UNKNOWN: 404,
  MODEL_UNKNOWN: 404,
  MODEL_VERSION_UNKNOWN: 404,
  SERVICE_UNKNOWN: 404,
  SOURCE_UNKNOWN: 404,
  ENTITY_UNKNOWN: 404,
  FEATURE_UNKNOWN: 404,
  VIEW_UNKNOWN: 404,
  METHOD_NOT_ALLOWED: 405,
  NOT_SUPPORTED: 501,
  AS_OF_TOO_EARLY: 409,
  REPLAY_SOURCE_LEFT: 409,
  MODEL_NO_PREVIOUS: 409,
  NOT_FITTED: 409,
  BODY_TOO_LARGE: 413,
  PUSH_TOO_LARGE: 413,
  TOO_MANY_ROWS: 413,
  MEDIA_TYPE_UNSUPPORTED: 415,
  AS_OF_TOO_OLD: 422,
  CATEGORY_UNKNOWN: 422,
  EVENTS_REJECTED: 422,
  FEATURE_COMPUTED: 422,
  MODEL_CORRUPT: 422,
  MODEL_INPUT_INVALID: 422,
  MODEL_SERVICE_MISMATCH: 422,
  FITTED_STATE_MISMATCH: 422,
  MODEL_OUTPUT_MISMATCH: 500,
  MODEL_RUN_FAILED: 500,
  MODEL_VERSION_CHANGED: 503,
  DEADLINE_EXCEEDED: 504,
};

const STATUS_OF_KIND = { user: 400, operational: 503, bug: 500 } as const;

export function problemStatus(error: Pick<MillraceError, "code" | "kind">): number {
  return Object.hasOwn(STATUS, error.code) ? STATUS[error.code]! : STATUS_OF_KIND[error.kind];
}
