import { isMillraceError, type MillraceError, millraceError } from "../definitions/errors.ts";
import { errorOfAnswer } from "./client-error.ts";

/** How calls are tried. */
export interface CallOptions {
  /** Milliseconds for the whole call, tries and pauses included. Default: the client's. */
  readonly timeoutMs?: number;
  /** Gives the call up; it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface SendOptions {
  readonly fetch: typeof fetch;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Tries after the first. */
  readonly retries: number;
  /** The pause before the first retry, milliseconds; it doubles with each, up to `MAX_PAUSE_MS`. */
  readonly pauseMs: number;
  /** From 0 up to 1, for tests. */
  readonly random: () => number;
}

const MAX_PAUSE_MS = 5_000;
/** Answers after which the same request may do: too many requests, a gateway without a server, a server that sheds load. */
const RETRIED: ReadonlySet<number> = new Set([429, 502, 503]);

/**
 * Posts JSON and gives the answer's JSON. Only for requests that change nothing: a lost connection and the answers 429,
 * 502 and 503 are tried again, after a random pause up to one that doubles, or after what `Retry-After` asks for. A
 * pause that would pass the deadline is not begun: the last error comes at once.
 *
 * The header `x-request-timeout-ms` tells the server what is left of the deadline.
 *
 * @throws `DEADLINE_EXCEEDED`, `SERVER_UNREACHABLE`, `ANSWER_INVALID`, or the code of the server's problem.
 */
export async function postJson(url: string, body: unknown, options: SendOptions, call: CallOptions): Promise<unknown> {
  const deadline = performance.now() + (call.timeoutMs ?? options.timeoutMs);
  const text = JSON.stringify(body);
  for (let tried = 0; ; tried++) {
    const failure = await attempt(url, text, options, call, deadline);
    if (!isMillraceError(failure)) return failure.json;
    const longest = Math.min(options.pauseMs * 2 ** tried, MAX_PAUSE_MS);
    const asked = failure.details.retry_after_seconds;
    const pause =
      typeof asked === "number" ? asked * 1_000 + options.random() * options.pauseMs : options.random() * longest;
    const isFutile = !mayPass(failure) || tried >= options.retries || performance.now() + pause >= deadline;
    if (isFutile) throw failure;
    await sleep(pause, call.signal);
  }
}

function mayPass(error: MillraceError): boolean {
  return error.code === "SERVER_UNREACHABLE" || RETRIED.has(Number(error.details.status));
}

async function attempt(
  url: string,
  body: string,
  options: SendOptions,
  call: CallOptions,
  deadline: number,
): Promise<{ readonly json: unknown } | MillraceError> {
  call.signal?.throwIfAborted();
  const left = Math.min(3_600_000, Math.max(1, Math.ceil(deadline - performance.now())));
  const timeout = AbortSignal.timeout(left);
  const signal = call.signal === undefined ? timeout : AbortSignal.any([call.signal, timeout]);
  try {
    const response = await options.fetch(url, {
      method: "POST",
      headers: { ...options.headers, "x-request-timeout-ms": String(left) },
      body,
      signal,
      // A redirect could carry the key to another server.
      redirect: "error",
    });
    if (!response.ok) return await errorOfAnswer(response);
    const text = await response.text();
    return { json: parseAnswer(text, url) };
  } catch (cause) {
    call.signal?.throwIfAborted();
    if (isMillraceError(cause)) throw cause;
    if (timeout.aborted) {
      throw millraceError(
        "DEADLINE_EXCEEDED",
        `${url} did not answer in time: raise timeoutMs, or ask for fewer rows.`,
        {
          kind: "operational",
          cause,
        },
      );
    }
    return millraceError(
      "SERVER_UNREACHABLE",
      `${url} cannot be reached: is the server running, and the address right?`,
      {
        kind: "operational",
        cause,
      },
    );
  }
}

function parseAnswer(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw millraceError("ANSWER_INVALID", `${url} did not answer JSON: is this Millrace's address?`, {
      kind: "operational",
      cause,
    });
  }
}

async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const giveUp = (): void => reject(signal?.reason);
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}
