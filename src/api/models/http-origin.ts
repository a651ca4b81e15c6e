import { readFile } from "node:fs/promises";
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { setTimeout as wait } from "node:timers/promises";
import { modelError } from "./model-errors.ts";

/** How a server that models come from is reached. Plain data; its secrets never reach logs, errors or URLs. */
export interface HttpOriginOptions {
  /** `http://…` or `https://…`, with a path prefix if it has one, without a user. */
  readonly url: string;
  readonly auth?: HttpAuth;
  readonly tls?: HttpTls;
  /** Until an answer's headers, and between two parts of its body; milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
  /** How often a request that failed for the moment is sent again, with growing pauses of random length. Default 3. */
  readonly retries?: number;
}

export type HttpAuth =
  | { readonly username: string; readonly password: string }
  | { readonly token: string }
  /** A file that something keeps a fresh token in: read at each request. */
  | { readonly tokenFile: string };

export interface HttpTls {
  /** The authorities that may sign the server's certificate, PEM. Default: the system's. */
  readonly ca?: string;
  /** The client's own certificate and key, PEM, for mutual TLS. */
  readonly cert?: string;
  readonly key?: string;
  /** The name that the certificate must carry. Default: the host. */
  readonly serverName?: string;
  /** False accepts any certificate: for tests only. Default true. */
  readonly rejectUnauthorized?: boolean;
}

export interface OriginRequest {
  readonly method?: "GET" | "POST" | "PUT";
  /** Below the origin's URL, encoded. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Default: the origin's. */
  readonly timeoutMs?: number;
  /** Default: the origin's for GET, 0 for others. */
  readonly retries?: number;
  /** Called before each further attempt. */
  readonly onRetry?: () => void;
}

/** One server, over connections that are kept open. */
export interface HttpOrigin {
  /** Without a path or anything secret: for messages. */
  readonly name: string;
  /**
   * The answer, whatever its status below 500 but 401, 403, 408 and 429; its body must be read or destroyed.
   * @throws `MODEL_SERVER_UNAVAILABLE`, `MODEL_SERVER_DENIED`
   */
  send(request: OriginRequest): Promise<IncomingMessage>;
  /** The answer as text, up to `maxBytes` (default 32 MiB), and its status. */
  text(request: OriginRequest, maxBytes?: number): Promise<{ readonly status: number; readonly text: string }>;
  close(): void;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

export function httpOrigin(options: HttpOriginOptions): HttpOrigin {
  const base = new URL(options.url);
  const isTls = base.protocol === "https:";
  const prefix = base.pathname.replace(/\/+$/, "");
  const { ca, cert, key, serverName, rejectUnauthorized } = options.tls ?? {};
  const agent = isTls
    ? new HttpsAgent({
        keepAlive: true,
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        ...(serverName === undefined ? {} : { servername: serverName }),
        rejectUnauthorized: rejectUnauthorized ?? true,
      })
    : new HttpAgent({ keepAlive: true });
  const name = `${base.protocol}//${base.host}`;
  const timeout = options.timeoutMs ?? 10_000;

  function unavailable(why: string, cause?: unknown): Error {
    return modelError("MODEL_SERVER_UNAVAILABLE", `The server ${name} fails: ${why}.`, {
      kind: "operational",
      ...(cause === undefined ? {} : { cause }),
      details: { server: name },
    });
  }

  async function once(request: OriginRequest, authorization: string | null): Promise<IncomingMessage> {
    const { method = "GET", path, headers = {}, body, timeoutMs = timeout } = request;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent: ClientRequest = (isTls ? httpsRequest : httpRequest)(
      {
        protocol: base.protocol,
        // IPv6 addresses stand in brackets in a URL only.
        hostname: base.hostname.replace(/^\[|\]$/g, ""),
        port: base.port === "" ? (isTls ? 443 : 80) : Number(base.port),
        method,
        path: `${prefix}${path}`,
        agent,
        headers: {
          accept: "application/json",
          ...(authorization === null ? {} : { authorization }),
          ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }),
          ...headers,
        },
      },
      resolve,
    );
    // Counts while nothing comes: until the headers, and between parts of the body.
    sent.setTimeout(timeoutMs, () => sent.destroy(unavailable(`nothing came within ${timeoutMs} ms`)));
    // One clock more, for a server that sends a header byte by byte.
    const timer = setTimeout(() => sent.destroy(unavailable(`no answer within ${timeoutMs} ms`)), timeoutMs);
    sent.on("error", reject);
    sent.end(body);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  async function attempt(request: OriginRequest): Promise<IncomingMessage> {
    const authorization = await authorizationOf(options.auth);
    let answer: IncomingMessage;
    try {
      answer = await once(request, authorization);
    } catch (cause) {
      throw isOurs(cause) ? cause : unavailable(reasonOf(cause), cause);
    }
    const status = answer.statusCode ?? 0;
    if (status < 300 || (status >= 400 && status < 500 && ![401, 403, 408, 429].includes(status))) return answer;
    answer.destroy();
    const path = request.path.split("?", 1)[0]!;
    if (status === 401 || status === 403) {
      throw modelError(
        "MODEL_SERVER_DENIED",
        `The server ${name} refuses ${path} (${status}): check the user and password or the token that the configuration has for it.`,
        { kind: "operational", details: { server: name, status } },
      );
    }
    if (status < 400) {
      throw unavailable(`it sends ${path} on to another address (${status}), which is not followed: name that address`);
    }
    throw Object.assign(unavailable(`it answers ${path} with ${status}`), {
      retryAfterMs: Number(answer.headers["retry-after"] ?? Number.NaN) * 1_000,
    });
  }

  async function send(request: OriginRequest): Promise<IncomingMessage> {
    const { method = "GET", retries = method === "GET" ? (options.retries ?? 3) : 0 } = request;
    for (let tries = 0; ; tries++) {
      try {
        return await attempt(request);
      } catch (error) {
        if (tries >= retries || !isOurs(error) || error.code !== "MODEL_SERVER_UNAVAILABLE") throw error;
        const asked = "retryAfterMs" in error ? Number(error.retryAfterMs) : Number.NaN;
        const most = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries);
        request.onRetry?.();
        // Of random length, so that many processes do not come back at the same moment.
        await wait(asked > 0 ? Math.min(asked, LONGEST_PAUSE_MS) : Math.random() * most);
      }
    }
  }

  return {
    name,
    send,
    async text(request, maxBytes = 32 * 2 ** 20) {
      const answer = await send(request);
      const parts: Buffer[] = [];
      let bytes = 0;
      try {
        for await (const part of answer as AsyncIterable<Buffer>) {
          bytes += part.length;
          if (bytes > maxBytes) throw unavailable(`its answer is longer than ${maxBytes} bytes`);
          parts.push(part);
        }
      } catch (cause) {
        throw isOurs(cause) ? cause : unavailable(reasonOf(cause), cause);
      }
      return { status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString("utf8") };
    },
    close: () => agent.destroy(),
  };
}

async function authorizationOf(auth: HttpAuth | undefined): Promise<string | null> {
  if (auth === undefined) return null;
  if ("token" in auth) return `Bearer ${auth.token}`;
  if ("tokenFile" in auth) {
    try {
      return `Bearer ${(await readFile(auth.tokenFile, "utf8")).trim()}`;
    } catch (cause) {
      throw modelError("MODEL_SERVER_DENIED", `The token file ${auth.tokenFile} cannot be read.`, {
        kind: "operational",
        cause,
      });
    }
  }
  return `Basic ${Buffer.from(`${auth.username}:${auth.password}`, "utf8").toString("base64")}`;
}

function isOurs(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && error.name === "MillraceError" && "code" in error;
}

/** A network's failure in few words: never what was sent. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  // Several addresses were tried.
  if (cause instanceof AggregateError && cause.errors[0] instanceof Error) return cause.errors[0].message;
  return cause.message;
}
