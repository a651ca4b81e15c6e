import type { FastifyInstance, FastifyRequest } from "fastify";
import { invalidRequest } from "./api-errors.ts";
import { deadlineExceeded } from "./models/deadline-exceeded.ts";

/** Until when each request is waited for, on the monotonic clock, milliseconds. */
const deadlines = new WeakMap<FastifyRequest, number>();
const HEADER = "x-request-timeout-ms";
const MOST_MS = 3_600_000;

/**
 * Reads `X-Request-Timeout-Ms` of every request, from whose arrival it counts; a whole number from 1 to 3,600,000.
 * Default: `defaultMs`, null for none. A request whose body arrived too late is refused before it is handled.
 * @throws from the hooks: `REQUEST_INVALID`, `DEADLINE_EXCEEDED`
 */
export function requestDeadlines(app: FastifyInstance, defaultMs: number | null): void {
  app.addHook("onRequest", (request, _reply, done) => {
    const given = request.headers[HEADER];
    const ms = requestTimeout(given, defaultMs);
    if (ms === null) return done();
    if (ms === undefined) {
      return done(invalidRequest("The header X-Request-Timeout-Ms", `a whole number of milliseconds, 1 to ${MOST_MS}`));
    }
    deadlines.set(request, performance.now() + ms);
    done();
  });
  app.addHook("preHandler", (request, _reply, done) => {
    const deadline = deadlines.get(request);
    if (deadline !== undefined && performance.now() > deadline) return done(deadlineExceeded());
    done();
  });
}

/** Milliseconds, null for none; undefined if what was given is no such number. */
export function requestTimeout(
  given: string | readonly string[] | undefined,
  defaultMs: number | null,
): number | null | undefined {
  if (given === undefined) return defaultMs;
  const ms = Number(given);
  return Number.isInteger(ms) && ms >= 1 && ms <= MOST_MS ? ms : undefined;
}

/** As `deadlineOf`, of requests that say it themselves: work that may take hours has no default. */
export function askedDeadlineOf(request: FastifyRequest): { readonly deadline?: number } {
  const deadline = deadlines.get(request);
  return request.headers[HEADER] === undefined || deadline === undefined ? {} : { deadline };
}

/** For `PredictRequest`. */
export function deadlineOf(request: FastifyRequest): { readonly deadline?: number; readonly isGone: () => boolean } {
  const deadline = deadlines.get(request);
  const isGone = (): boolean => request.raw.socket.destroyed;
  return deadline === undefined ? { isGone } : { deadline, isGone };
}
