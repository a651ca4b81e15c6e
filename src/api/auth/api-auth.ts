import type { FastifyInstance, FastifyRequest } from "fastify";
import { appendAudit } from "./append-audit.ts";
import { type Caller, credentialOfHeaders, type KeyGuard, keyGuard } from "./key-guard.ts";
import { declaredScope } from "./route-scopes.ts";

export interface ApiSecurity {
  /** The file of API keys that requests are checked against; null: whoever reaches the server may read and predict. */
  readonly keysFile: string | null;
  /** Requests per second of a key that has no limit of its own; null: no limit. */
  readonly rateLimit: number | null;
  /** Origins whose pages may call, "https://app.example.com". */
  readonly corsOrigins: readonly string[];
  /** The JSON lines file of what administrators did; null: none. */
  readonly auditFile: string | null;
}

/** Absent before a request was checked. */
const callers = new WeakMap<FastifyRequest, Caller>();

/** True if the request was let in by a key with the scope of its route, or by the token. */
export function isLetIn(request: FastifyRequest): boolean {
  return callers.has(request);
}

/** True if the request was let in with the scope `admin`. */
export function isFromAdmin(request: FastifyRequest): boolean {
  return callers.get(request)?.isAdmin === true;
}

/**
 * Checks every request against the scope that its route declares, by `Authorization: Bearer` or `X-API-Key`; a route
 * without one asks for `admin`. The server's own token counts as a key with all scopes. Sets security headers, answers
 * the preflights of allowed origins, limits the rate of each key, and notes what administrators do.
 *
 * Gives what checks keys, for requests that come by another way; null where none are asked for.
 * @throws from the hooks: `UNAUTHORIZED`, `SCOPE_MISSING`, `RATE_LIMITED`
 */
export function apiAuth(app: FastifyInstance, security: ApiSecurity, token: string | null): KeyGuard | null {
  const { keysFile, rateLimit } = security;
  const guard = keysFile === null ? null : keyGuard(keysFile, rateLimit, token);
  const always = securityHeaders(security);

  app.addHook("onRequest", async (request, reply) => {
    reply.headers(always);
    const allowed = originHeaders(security, request.headers.origin);
    if (allowed !== null) reply.headers(allowed);
    if (allowed !== null && request.method === "OPTIONS") return reply.code(204).send();
    if (guard !== null) await check(request, guard);
  });

  const { auditFile } = security;
  if (auditFile === null) return guard;
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url;
    if (route === undefined || request.method === "GET" || request.method === "HEAD") return;
    if ((declaredScope(request.method, route) ?? "admin") !== "admin") return;
    const line = {
      at: new Date().toISOString(),
      // Without keys the guard of the admin routes has seen the token, or refused.
      who: callers.get(request)?.id ?? (reply.statusCode === 401 || reply.statusCode === 403 ? null : "token"),
      method: request.method,
      route,
      // Names in the path; never bodies, which may hold keys of entities.
      params: request.params ?? {},
      status: reply.statusCode,
      outcome: reply.statusCode < 400 ? "done" : "refused",
      remote: request.ip,
      request_id: request.id,
    };
    await appendAudit(auditFile, line).catch((error: unknown) => {
      request.log.error({ err: error }, "the audit log cannot be written");
    });
  });
  return guard;
}

/** What every answer has. */
export function securityHeaders({ corsOrigins }: ApiSecurity): Readonly<Record<string, string>> {
  return {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    ...(corsOrigins.length === 0 ? {} : { vary: "Origin" }),
  };
}

async function check(request: FastifyRequest, guard: KeyGuard): Promise<void> {
  const route = request.routeOptions.url;
  const scope = route === undefined ? "read" : (declaredScope(request.method, route) ?? "admin");
  if (scope === "public") return;
  const { authorization, "x-api-key": apiKey } = request.headers;
  await guard.check(credentialOfHeaders(authorization, apiKey), scope, (caller) => callers.set(request, caller));
}

/** What an answer to a page of an allowed origin has; null for any other. */
export function originHeaders(
  { corsOrigins }: ApiSecurity,
  origin: string | undefined,
): Readonly<Record<string, string>> | null {
  if (origin === undefined || !corsOrigins.includes(origin)) return null;
  return {
    "access-control-allow-origin": origin,
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": "authorization, content-type, x-api-key, x-request-timeout-ms",
    "access-control-max-age": "600",
  };
}
