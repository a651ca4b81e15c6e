import type { Scope } from "./api-keys.ts";

/** What a route asks for; `public` routes answer anyone and tell nothing. */
export type RouteScope = Scope | "public";

/** Health for those who balance load, webhooks, which carry a signature of their own, and the console's empty page. */
const PUBLIC: readonly RegExp[] = [
  /^GET \/(console(\/.+)?)?$/,
  /^GET \/(livez|readyz|ping|health|version)$/,
  /^GET \/v2\/health\/(live|ready)$/,
  /^POST \/v1\/webhooks\/.+$/,
];
const PREDICT: readonly RegExp[] = [
  /^POST \/v1\/models\/[^/]+\/predict(-batch|\/batch)?$/,
  /^POST \/v2\/models\/.+\/infer$/,
  /^POST (\/v1\/models\/:name)?\/invocations$/,
];
const PUSH: readonly RegExp[] = [
  /^POST \/v1\/sources\/:name\/events$/,
  /^POST \/(push|write-to-online-store)$/,
  /^POST \/v1\/events(\/.*)?$/,
];
const READ: readonly RegExp[] = [
  /^GET \/(openapi\.json|metrics|docs.*|static.*)$/,
  /^GET \/v2(\/models\/.+)?$/,
  /^POST \/v2\/repository\/index$/,
  /^POST \/(get-online-features|retrieve-online-documents|search)$/,
  /^POST \/v1\/features\/(online|historical)$/,
  /^GET \/v1\/(models|sources|features|manifests)(\/.*)?$/,
  /^(GET|POST|PUT) \/v1\/training-sets(\/.*)?$/,
];
const ADMIN: readonly RegExp[] = [
  /^POST \/v1\/models\/:name\/(rollback|pin|unpin|load|unload)$/,
  /^POST \/v2\/repository\/models\/.+\/(load|unload)$/,
  /^DELETE \/v1\/training-sets\/.+$/,
  /^(GET|DELETE) \/v1\/dead-letters(\/.*)?$/,
  /^POST \/v1\/dead-letters\/.*$/,
  /^POST \/v1\/sources\/:name\/reset$/,
  /^(GET|POST|DELETE) \/v1\/(erasures|backfills|predictions|quality|registry|replay|check-predictions)(\/.*)?$/,
  /^POST \/v1\/(apply|check-consistency|prune|check-predictions|materialize)$/,
  /^GET \/v1\/plan$/,
  /^POST \/materialize(-incremental)?$/,
];

const TABLE: readonly (readonly [RouteScope, readonly RegExp[]])[] = [
  ["public", PUBLIC],
  ["predict", PREDICT],
  ["push", PUSH],
  ["admin", ADMIN],
  ["read", READ],
];

/** The scope that is declared for a route, "/v1/models/:name"; null for none. HEAD asks for what GET does. */
export function declaredScope(method: string, route: string): RouteScope | null {
  const line = `${method === "HEAD" ? "GET" : method} ${route}`;
  for (const [scope, patterns] of TABLE) if (patterns.some((pattern) => pattern.test(line))) return scope;
  return null;
}
