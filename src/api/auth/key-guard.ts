import { hash, timingSafeEqual } from "node:crypto";
import { apiError } from "../api-errors.ts";
import { type ApiKey, apiKeys, type Credential, credentialOf } from "./api-keys.ts";
import { rateLimit } from "./rate-limit.ts";
import type { RouteScope } from "./route-scopes.ts";

/** Who a request is from. */
export interface Caller {
  /** Of the key; `token` for the server's own. */
  readonly id: string;
  readonly isAdmin: boolean;
}

const ADMINISTRATOR: Caller = { id: "token", isAdmin: true };

/** Says who may do what, by API keys. Counted in this process alone. */
export interface KeyGuard {
  /**
   * Lets a request in that asks for a scope, and counts it; at once where the file of keys was looked at lately. `seen`
   * is told whose key it is, whatever that may do.
   * @throws or rejects with `UNAUTHORIZED`, `SCOPE_MISSING`, `RATE_LIMITED`, `KEYS_UNREADABLE`
   */
  check(
    credential: Credential | null,
    scope: Exclude<RouteScope, "public">,
    seen?: (caller: Caller) => void,
  ): Caller | Promise<Caller>;
  /** Would `check` let it in? Counts nothing. @throws or rejects as `check` does */
  look(credential: Credential | null, scope: Exclude<RouteScope, "public">): void | Promise<void>;
  /** What was let in will be checked again: it does not count. */
  giveBack(caller: Caller): void;
}

/**
 * Checks credentials against a file of keys. The server's own token counts as a key with all scopes.
 * @param usualLimit requests per second of a key that has no limit of its own; null: no limit
 */
export function keyGuard(keysFile: string, usualLimit: number | null, token: string | null): KeyGuard {
  const keys = apiKeys(keysFile);
  const limit = rateLimit();
  const tokenHash = token === null ? null : hash("sha256", token, "buffer");

  function letIn(key: ApiKey | null, scope: Exclude<RouteScope, "public">, seen?: (caller: Caller) => void): Caller {
    if (key === null) {
      throw apiError(
        "UNAUTHORIZED",
        "This needs an API key that is neither expired nor revoked, as 'Authorization: Bearer <key>' or 'X-API-Key: <key>': 'millrace keys create' makes one.",
      );
    }
    const isAdmin = key.scopes.includes("admin");
    const caller: Caller = { id: key.id, isAdmin };
    seen?.(caller);
    if (!isAdmin && !key.scopes.includes(scope)) {
      throw apiError(
        "SCOPE_MISSING",
        `This needs an API key with the scope '${scope}'; the key ${key.id} has ${key.scopes.join(", ")}.`,
        { details: { scope, scopes: key.scopes } },
      );
    }
    const perSecond = key.rate_limit ?? usualLimit;
    const wait = perSecond === null ? 0 : limit.take(key.id, perSecond);
    if (wait > 0) {
      throw apiError(
        "RATE_LIMITED",
        "This API key sends more requests than the server takes from one: send fewer, or later.",
        { kind: "operational", details: { retry_after_seconds: Math.ceil(wait) } },
      );
    }
    return caller;
  }

  const isToken = ({ sha256 }: Credential): boolean => tokenHash !== null && timingSafeEqual(sha256, tokenHash);

  return {
    check(credential, scope, seen) {
      if (credential === null) return letIn(null, scope);
      if (isToken(credential)) {
        seen?.(ADMINISTRATOR);
        return ADMINISTRATOR;
      }
      const key = keys.match(credential);
      return key instanceof Promise ? key.then((found) => letIn(found, scope, seen)) : letIn(key, scope, seen);
    },
    look(credential, scope) {
      if (credential !== null && isToken(credential)) return;
      const tryIt = (key: ApiKey | null): void => limit.giveBack(letIn(key, scope).id);
      const key = credential === null ? null : keys.match(credential);
      return key instanceof Promise ? key.then(tryIt) : tryIt(key);
    },
    giveBack({ id }) {
      limit.giveBack(id);
    },
  };
}

/** What a request shows of itself, `Authorization: Bearer` before `X-API-Key`. */
export function credentialOfHeaders(authorization: string | undefined, apiKey: unknown): Credential | null {
  const bearer = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
  const text = bearer ?? (typeof apiKey === "string" ? apiKey : null);
  return text === null ? null : credentialOf(text);
}
