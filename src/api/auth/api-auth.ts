import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { apiError } from "../api-errors.ts";
import { type ApiKeys, apiKeys } from "./api-keys.ts";
import { appendAudit } from "./append-audit.ts";
import { type RateLimit, rateLimit } from "./rate-limit.ts";
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

/** Who a request is from; absent before it was checked. */
const callers = new WeakMap<FastifyRequest, { readonly id: string; readonly isAdmin: boolean }>();

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
 * @throws from the hooks: `UNAUTHORIZED`, `SCOPE_MISSING`, `RATE_LIMITED`
 */
export function apiAuth(app: FastifyInstance, security: ApiSecurity, token: string | null): void {
  const keys = security.keysFile === null ? null : apiKeys(security.keysFile);
  const limit = rateLimit();
  const tokenHash = token === null ? null : digest(token);
  const always = securityHeaders(security);

  app.addHook("onRequest", async (request, reply) => {
    reply.headers(always);
    if (allowOrigin(security.corsOrigins, request, reply) && request.method === "OPTIONS") {
      return reply.code(204).send();
    }
    if (keys === null) return;
    await check(request, keys, tokenHash, limit, security.rateLimit);
  });

  const { auditFile } = security;
  if (auditFile === null) return;
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

async function check(
  request: FastifyRequest,
  keys: ApiKeys,
  tokenHash: Buffer | null,
  limit: RateLimit,
  usualLimit: number | null,
): Promise<void> {
  const route = request.routeOptions.url;
  const scope = route === undefined ? "read" : (declaredScope(request.method, route) ?? "admin");
  if (scope === "public") return;
  const text = credentials(request);
  if (text !== null && tokenHash !== null && timingSafeEqual(digest(text), tokenHash)) {
    callers.set(request, { id: "token", isAdmin: true });
    return;
  }
  const key = text === null ? null : await keys.find(text);
  if (key === null) {
    throw apiError(
      "UNAUTHORIZED",
      "This needs an API key that is neither expired nor revoked, as 'Authorization: Bearer <key>' or 'X-API-Key: <key>': 'millrace keys create' makes one.",
    );
  }
  const isAdmin = key.scopes.includes("admin");
  callers.set(request, { id: key.id, isAdmin });
  if (!isAdmin && !key.scopes.includes(scope)) {
    throw apiError(
      "SCOPE_MISSING",
      `This needs an API key with the scope '${scope}'; the key ${key.id} has ${key.scopes.join(", ")}.`,
      {
        details: { scope, scopes: key.scopes },
      },
    );
  }
  const perSecond = key.rate_limit ?? usualLimit;
  const wait = perSecond === null ? 0 : limit(key.id, perSecond);
  if (wait > 0) {
    throw apiError(
      "RATE_LIMITED",
      "This API key sends more requests than the server takes from one: send fewer, or later.",
      {
        kind: "operational",
        details: { retry_after_seconds: Math.ceil(wait) },
      },
    );
  }
}

function credentials(request: FastifyRequest): string | null {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  const header = request.headers["x-api-key"];
  return bearer ?? (typeof header === "string" ? header : null);
}

function allowOrigin(
  origins: readonly string[],
  request: FastifyRequest,
  reply: { header(name: string, value: string): unknown },
): boolean {
  if (origins.length === 0) return false;
  const { origin } = request.headers;
  if (origin === undefined || !origins.includes(origin)) return false;
  reply.header("access-control-allow-origin", origin);
  reply.header("access-control-allow-methods", "GET, POST, DELETE");
  reply.header("access-control-allow-headers", "authorization, content-type, x-api-key, x-request-timeout-ms");
  reply.header("access-control-max-age", "600");
  return true;
}

/** Of equal length whatever is given. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
