import { channel } from "node:diagnostics_channel";
import { isMillraceError } from "../../definitions/errors.ts";
import { SCORING_BREAKER_CHANNEL, SCORING_CHANNEL, type ScoringBreakerEvent, type ScoringEvent } from "../channels.ts";
import { circuitBreaker } from "./circuit-breaker.ts";
import { type HttpAuth, type HttpOriginOptions, httpOrigin } from "./http-origin.ts";
import { modelError } from "./model-errors.ts";

/** A server that predicts for models which Millrace does not evaluate itself. Plain data, with secrets. */
export interface ScoringOptions extends HttpOriginOptions {
  /** `mlflow` (default): `mlflow models serve` and what speaks as it does. `open_inference`: KServe, Triton, MLServer. */
  readonly protocol?: "mlflow" | "open_inference";
  /** Of `open_inference`: what the server calls the model. */
  readonly model?: string;
  /** The most requests to it at once; others wait. Default 32. */
  readonly maxInFlight?: number;
  /** So many failures in a row, and it is not asked for a while. Default 5. */
  readonly breakerFailures?: number;
  /** For how long at first, milliseconds. Default 5,000. */
  readonly breakerOpenMs?: number;
}

/** Asks one scoring server: bounded, timed, tried again, and left alone while it is down. */
export interface ScoringClient {
  /**
   * The answer's JSON.
   * @throws `MODEL_SERVER_UNAVAILABLE`, `MODEL_SERVER_DENIED`, `MODEL_RUN_FAILED` if it refuses what was sent
   */
  ask(path: string, body?: string): Promise<unknown>;
  close(): void;
}

const calls = channel(SCORING_CHANNEL);
const breakers = channel(SCORING_BREAKER_CHANNEL);
const DEFAULT_TIMEOUT_MS = 2_000;

/** `server`: the name in the configuration, for metrics and messages. `version` replaces `{version}` in the URL. */
export function scoringClient(server: string, options: ScoringOptions, version: string): ScoringClient {
  const url = options.url.replaceAll("{version}", encodeURIComponent(version));
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const origin = httpOrigin({ ...options, url, timeoutMs });
  const most = options.maxInFlight ?? 32;
  let inFlight = 0;
  const waiting: (() => void)[] = [];
  const breaker = circuitBreaker({
    failures: options.breakerFailures ?? 5,
    openMs: options.breakerOpenMs ?? 5_000,
    now: () => performance.now(),
    onChange: (state) => breakers.publish({ server, state } satisfies ScoringBreakerEvent),
  });

  async function call(path: string, body: string | undefined): Promise<unknown> {
    if (!breaker.admits()) {
      throw modelError(
        "MODEL_SERVER_UNAVAILABLE",
        `The scoring server '${server}' failed ${options.breakerFailures ?? 5} times in a row and is left alone for ${Math.ceil(breaker.waitMs / 1_000)} s more.`,
        { kind: "operational", details: { server, reason: "CIRCUIT_OPEN" } },
      );
    }
    const started = performance.now();
    let outcome = "ok";
    let retries = 0;
    try {
      const { status, text } = await origin.text({
        path,
        timeoutMs,
        // A prediction changes nothing: it may be asked for twice.
        retries: options.retries ?? 1,
        onRetry: () => void retries++,
        ...(body === undefined ? {} : { method: "POST", body, headers: { "content-type": "application/json" } }),
      });
      breaker.succeeded();
      if (status !== 200) throw refused(status, text);
      try {
        return JSON.parse(text);
      } catch (cause) {
        throw modelError("MODEL_RUN_FAILED", `The scoring server '${server}' answers what is no JSON.`, { cause });
      }
    } catch (error) {
      outcome = isMillraceError(error) ? error.code : "INTERNAL";
      if (outcome === "MODEL_SERVER_UNAVAILABLE") breaker.failed();
      else if (outcome === "MODEL_SERVER_DENIED" || outcome === "INTERNAL") breaker.abandoned();
      throw error;
    } finally {
      const seconds = (performance.now() - started) / 1_000;
      calls.publish({ server, outcome, seconds, retries } satisfies ScoringEvent);
    }
  }

  function refused(status: number, text: string): Error {
    let why = "";
    try {
      const { message, error, detail } = JSON.parse(text);
      why = withoutCredentials(String(message ?? error ?? detail ?? "").split("\n", 1)[0]!, options.auth).slice(0, 200);
    } catch {
      // Its status says enough.
    }
    return modelError(
      "MODEL_RUN_FAILED",
      `The scoring server '${server}' refuses what the model is asked (${status}${why === "" ? "" : `: ${why}`}).`,
      { details: { server, status } },
    );
  }

  return {
    async ask(path, body) {
      if (inFlight >= most) await new Promise<void>((resolve) => waiting.push(resolve));
      else inFlight++;
      try {
        return await call(path, body);
      } finally {
        // Whoever waited longest takes over the place.
        const next = waiting.shift();
        if (next === undefined) inFlight--;
        else next();
      }
    },
    close: () => origin.close(),
  };
}

/** Some servers and proxies say again what they were sent. */
function withoutCredentials(text: string, auth: HttpAuth | undefined): string {
  const secret = auth === undefined ? "" : "token" in auth ? auth.token : "password" in auth ? auth.password : "";
  const rest = secret === "" ? text : text.replaceAll(secret, "[hidden]");
  return rest.replace(/\b(Bearer|Basic) +[^\s"']+/gi, "$1 [hidden]");
}
