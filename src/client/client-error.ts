import { type MillraceError, millraceError } from "../definitions/errors.ts";

/**
 * An answer that is a problem (RFC 9457) as an error: the server's stable `code` and its text. `details` has the
 * problem's other members, `status`, and `retry_after_seconds` where the server gave it.
 */
export async function errorOfAnswer(response: Response): Promise<MillraceError> {
  const text = await response.text().catch(() => "");
  const problem = parseProblem(text);
  const { type: _type, title: _title, detail, code, ...details } = problem;
  const retryAfter = retryAfterSeconds(response);
  return millraceError(
    typeof code === "string" ? code : `HTTP_${response.status}`,
    typeof detail === "string" ? detail : `The server answered ${response.status} ${response.statusText}.`,
    {
      kind: response.status >= 500 || response.status === 429 ? "operational" : "user",
      details: {
        ...details,
        status: response.status,
        ...(retryAfter === null ? {} : { retry_after_seconds: retryAfter }),
      },
    },
  );
}

function parseProblem(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : {};
  } catch {
    return {};
  }
}

/** Seconds of the header `Retry-After`, as a number or as a date; null without one. */
export function retryAfterSeconds(response: Response): number | null {
  const header = response.headers.get("retry-after");
  if (header === null) return null;
  const seconds = /^\d+(\.\d+)?$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1_000;
  return Number.isFinite(seconds) ? Math.max(seconds, 0) : null;
}
