import { type IncomingMessage, request } from "node:http";
import { millraceError } from "../definitions/errors.ts";

/** What a Millrace answered. */
export interface HttpAnswer {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A Millrace process to ask. */
export interface HttpTarget {
  readonly url: string;
  /** For the operator's routes. */
  readonly token: string;
}

/**
 * Asks a route. `node:http` and not `fetch`, whose answers must begin within five minutes: a training set may take longer.
 * @throws what the answered problem says; `SERVER_UNREACHABLE`
 */
export async function httpRequest(
  target: HttpTarget,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer> {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  let response: IncomingMessage;
  let bytes: Buffer;
  try {
    response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(new URL(path, target.url), {
        method,
        headers: {
          authorization: `Bearer ${target.token}`,
          ...(text === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
          ...headers,
        },
      });
      sent.once("response", resolve);
      sent.once("error", reject);
      sent.end(text);
    });
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part as Buffer);
    bytes = Buffer.concat(parts);
  } catch (error) {
    throw millraceError(
      "SERVER_UNREACHABLE",
      `The Millrace at ${target.url} does not answer: ${error instanceof Error ? error.message || String(error) : String(error)}. It may be stopping: try again.`,
      { kind: "operational", cause: error },
    );
  }
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) {
    const flat = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const);
    return { headers: Object.fromEntries(flat), body: bytes };
  }
  throw problemError(target, status, bytes.toString("utf8"));
}

/** The error that a problem+json describes. */
function problemError({ url }: HttpTarget, status: number, text: string): Error {
  let problem: Record<string, unknown> = {};
  try {
    problem = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // Told below.
  }
  const { code, detail, type: _type, title: _title, status: _status, ...details } = problem;
  if (typeof code !== "string" || typeof detail !== "string") {
    return millraceError("SERVER_UNREACHABLE", `What answers at ${url} (status ${status}) is no Millrace.`, {
      kind: "operational",
    });
  }
  return millraceError(code, detail, {
    kind: status === 500 ? "bug" : status === 503 ? "operational" : "user",
    details,
  });
}
