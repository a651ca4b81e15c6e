import { STATUS_CODES } from "node:http";
import { isMillraceError, type MillraceError, millraceError } from "../definitions/errors.ts";
import { apiError } from "./api-errors.ts";
import { problemStatus } from "./problem-status.ts";

export const PROBLEM_TYPE = "application/problem+json; charset=utf-8";

/** An error as RFC 9457 has it. */
export interface Problem {
  readonly status: number;
  /** JSON. */
  readonly body: string;
  /** Seconds; null where sending the same again will not help. */
  readonly retryAfter: number | null;
}

/** Tells a caller what went wrong. Errors that are bugs are told by the request's id only. */
export function toProblem(error: unknown, requestId: string): Problem {
  const known = recognise(error);
  const status = problemStatus(known);
  const isInternal = known.kind === "bug";
  const detail = isInternal
    ? `Something went wrong that should not; it is logged with the request's id, ${requestId}.`
    : known.message;
  const code = isInternal ? "INTERNAL" : known.code;
  const body = JSON.stringify(
    {
      ...(isInternal ? {} : known.details),
      type: `urn:millrace:problem:${code.toLowerCase().replaceAll("_", "-")}`,
      title: STATUS_CODES[status] ?? "Error",
      status,
      detail,
      code,
    },
    (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value),
  );
  const given = known.details.retry_after_seconds;
  return { status, body, retryAfter: status !== 503 && status !== 429 ? null : typeof given === "number" ? given : 5 };
}

/** Fastify blames the client. */
function isRefusal(error: unknown): boolean {
  const { statusCode } = error as { readonly statusCode?: unknown };
  return typeof statusCode === "number" && statusCode >= 400 && statusCode < 500;
}

/** Fastify's own errors by the code that callers see; whatever else is no `MillraceError` is a bug. */
function recognise(error: unknown): MillraceError {
  if (isMillraceError(error)) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return apiError("BODY_TOO_LARGE", "The body is larger than this server takes: send it in parts.");
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return apiError(
        "MEDIA_TYPE_UNSUPPORTED",
        "The body has a Content-Type that is not read here: send application/json (events also as application/x-ndjson).",
      );
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
      return apiError("BODY_MALFORMED", "The body is not as long as its Content-Length says.");
    case "FST_ERR_BAD_URL":
      return apiError("REQUEST_INVALID", "The path is not valid percent-encoded UTF-8.", { details: { path: "url" } });
    case "FST_ERR_MAX_PARAM_LENGTH":
      return apiError("ROUTE_UNKNOWN", "A name in the path is longer than any name can be.");
    default:
      if (code.startsWith("FST_ERR_") && isRefusal(error)) {
        return apiError("REQUEST_INVALID", `The request cannot be handled: ${(error as Error).message}`);
      }
      return millraceError("INTERNAL", "An unexpected error.", { kind: "bug", cause: error });
  }
}
