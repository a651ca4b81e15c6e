import { type MillraceError, type MillraceErrorOptions, millraceError } from "../definitions/errors.ts";

/** The codes of the errors that the HTTP layer itself finds. */
export type ApiErrorCode =
  | "ADDRESS_UNAVAILABLE"
  /** No token is configured, so nobody may administer. */
  | "ADMIN_DISABLED"
  | "BODY_MALFORMED"
  | "BODY_TOO_LARGE"
  /** Mutual TLS, and a client without a certificate that counts. */
  | "CLIENT_CERTIFICATE_REQUIRED"
  | "EVENTS_REJECTED"
  /** A feature that follows from events was to be written. */
  | "FEATURE_COMPUTED"
  /** Two features would have one name in the answer. */
  | "FEATURE_NAME_COLLISION"
  /** A manifest that is no longer kept. */
  | "MANIFEST_UNKNOWN"
  | "MEDIA_TYPE_UNSUPPORTED"
  | "METHOD_NOT_ALLOWED"
  /** A part of the request is missing, of a wrong type or unknown; `path` in the problem names it. */
  | "REQUEST_INVALID"
  /** A part of a protocol that is not spoken here. */
  | "NOT_SUPPORTED"
  /** An API key sends more than it may. */
  | "RATE_LIMITED"
  | "ROUTE_UNKNOWN"
  /** An API key without the scope of the route. */
  | "SCOPE_MISSING"
  /** A route without a model's name, and several models. */
  | "MODEL_NOT_CHOSEN"
  /** No format of answers that Accept names. */
  | "NOT_ACCEPTABLE"
  /** Rows that may be what the model reads, or what that is made from. */
  | "ROWS_AMBIGUOUS"
  /** Rows without all the columns of either form. */
  | "ROWS_INCOMPLETE"
  | "TOO_MANY_ROWS"
  | "UNAUTHORIZED"
  | "VIEW_UNKNOWN";

export function apiError(code: ApiErrorCode, message: string, options?: MillraceErrorOptions): MillraceError {
  return millraceError(code, message, options);
}

/** `path` is where in the request, such as `rows[3]`; `expected` ends the sentence "… must be". */
export function invalidRequest(path: string, expected: string): MillraceError {
  return apiError("REQUEST_INVALID", `${path} must be ${expected}.`, { details: { path } });
}
