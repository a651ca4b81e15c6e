import { isMillraceError } from "../definitions/errors.ts";

/** An error as RFC 9457 has it. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Stable: what programs branch on. */
  readonly code: string;
  readonly [member: string]: unknown;
}

/** The status of each code that is not 400. */
const STATUS: Readonly<Record<string, number>> = {
  UNAUTHORIZED: 401,
  ROUTE_UNKNOWN: 404,
  MODEL_UNKNOWN: 404,
  MODEL_VERSION_UNKNOWN: 404,
  SERVICE_UNKNOWN: 404,
  SOURCE_UNKNOWN: 404,
  VIEW_UNKNOWN: 404,
  METHOD_NOT_ALLOWED: 405,
  AS_OF_TOO_EARLY: 409,
  AS_OF_TOO_OLD: 409,
  NOT_FITTED: 409,
  FITTED_STATE_MISMATCH: 409,
  REPLAY_SOURCE_LEFT: 409,
  BODY_TOO_LARGE: 413,
  PUSH_TOO_LARGE: 413,
  TOO_MANY_ROWS: 413,
  MEDIA_TYPE_UNSUPPORTED: 415,
  EVENTS_REJECTED: 422,
  MODEL_RUN_FAILED: 500,
  MODEL_OUTPUT_MISMATCH: 500,
  BACK_PRESSURE: 503,
  SOURCE_CLOSED: 503,
  MODEL_NOT_READY: 503,
  NOT_READY: 503,
  THREAD_DIED: 503,
  DEADLINE_EXCEEDED: 504,
};

const FASTIFY: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "BODY_TOO_LARGE",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "MEDIA_TYPE_UNSUPPORTED",
  FST_ERR_CTP_EMPTY_JSON_BODY: "BODY_INVALID",
  FST_ERR_CTP_INVALID_JSON_BODY: "BODY_INVALID",
  FST_ERR_VALIDATION: "BODY_INVALID",
  FST_ERR_BAD_URL: "URL_INVALID",
};

/** The answer to an error. A bug's text stays inside: the caller gets an id to quote. */
export function problemOf(error: unknown, requestId: string): Problem {
  if (isMillraceError(error)) {
    const status = STATUS[error.code] ?? (error.kind === "user" ? 400 : error.kind === "operational" ? 503 : 500);
    if (error.kind === "bug") return bug(requestId);
    return { ...error.details, ...problem(error.code, status, error.message) };
  }
  const { code, message, validation, validationContext } = error as {
    readonly code?: string;
    readonly message?: string;
    readonly validation?: readonly {
      readonly instancePath?: string;
      readonly message?: string;
      readonly params?: Record<string, unknown>;
    }[];
    readonly validationContext?: string;
  };
  if (validation !== undefined) {
    const { instancePath = "", message: what = "is not valid", params } = validation[0] ?? {};
    const extra = params?.additionalProperty === undefined ? "" : ` ('${String(params.additionalProperty)}')`;
    const where = `${validationContext ?? "body"}${instancePath}`;
    return {
      ...problem("BODY_INVALID", 400, `${where} ${what}${extra}. See /docs for what this route takes.`),
      path: instancePath,
    };
  }
  const known = code === undefined ? undefined : FASTIFY[code];
  if (known !== undefined) return problem(known, STATUS[known] ?? 400, `${message ?? known}`);
  if (error instanceof SyntaxError) return problem("BODY_INVALID", 400, `The body is no JSON: ${error.message}`);
  return bug(requestId);
}

export function problem(code: string, status: number, detail: string): Problem {
  return { type: `urn:millrace:error:${code}`, title: code.toLowerCase().replaceAll("_", " "), status, detail, code };
}

function bug(requestId: string): Problem {
  return problem(
    "INTERNAL",
    500,
    `Something went wrong inside Millrace: its log has the cause under request ${requestId}.`,
  );
}
