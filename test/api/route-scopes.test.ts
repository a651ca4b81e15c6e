import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiKeys, SCOPES, type Scope } from "../../src/api/auth/api-keys.ts";
import { declaredScope, type RouteScope } from "../../src/api/auth/route-scopes.ts";
import { openTestApi, type TestApi } from "./open-api.ts";

/** Who may call what. A route that is made later stands in none of these lists, and fails the test until it does. */
const ROUTES: Readonly<Record<RouteScope, readonly string[]>> = {
  public: [
    "GET /",
    "GET /console",
    "GET /console/console.css",
    "GET /console/console.js",
    "GET /console/exposition.js",
    "GET /livez",
    "GET /readyz",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /ping",
    "GET /health",
    "GET /version",
    "POST /v1/webhooks/mlflow",
  ],
  predict: [
    "POST /v1/models/:name/predict",
    "POST /v1/models/:name/predict-batch",
    "POST /v2/models/:name/infer",
    "POST /v2/models/:name/versions/:version/infer",
    "POST /invocations",
    "POST /v1/models/:name/invocations",
  ],
  push: ["POST /v1/sources/:name/events", "POST /push", "POST /write-to-online-store"],
  read: [
    "GET /docs",
    "GET /docs/static/index.html",
    "GET /docs/static/swagger-initializer.js",
    "GET /docs/json",
    "GET /docs/yaml",
    "GET /docs/static/*",
    "GET /openapi.json",
    "GET /metrics",
    "GET /v1/models",
    "GET /v1/models/:name",
    "GET /v1/manifests/:id",
    "GET /v1/sources",
    "GET /v1/sources/status",
    "GET /v1/features/views",
    "GET /v1/features/views/:name",
    "GET /v1/features/services",
    "GET /v1/features/services/:name",
    "POST /v1/features/online",
    "POST /v1/features/historical",
    "POST /get-online-features",
    "POST /retrieve-online-documents",
    "POST /search",
    "GET /v2",
    "POST /v2/repository/index",
    "GET /v2/models/:name",
    "GET /v2/models/:name/ready",
    "GET /v2/models/:name/config",
    "GET /v2/models/:name/versions/:version",
    "GET /v2/models/:name/versions/:version/ready",
    "GET /v2/models/:name/versions/:version/config",
    "POST /v1/training-sets",
    "PUT /v1/training-sets/:id/frame",
    "GET /v1/training-sets/:id",
    "GET /v1/training-sets/:id/file",
  ],
  admin: [
    "POST /v1/models/:name/rollback",
    "POST /v1/models/:name/load",
    "POST /v1/models/:name/unload",
    "POST /v1/models/:name/pin",
    "POST /v2/repository/models/:name/load",
    "POST /v2/repository/models/:name/unload",
    "POST /v1/sources/:name/reset",
    "GET /v1/dead-letters",
    "DELETE /v1/dead-letters",
    "POST /v1/replay/advance",
    "POST /v1/replay/release",
    "GET /v1/plan",
    "POST /v1/apply",
    "POST /v1/check-consistency",
    "POST /v1/check-predictions",
    "POST /v1/prune",
    "POST /v1/erasures",
    "GET /v1/erasures",
    "POST /v1/backfills",
    "GET /v1/backfills",
    "GET /v1/backfills/:id",
    "DELETE /v1/backfills/:id",
    "GET /v1/registry",
    "GET /v1/registry/entries/:name",
    "GET /v1/registry/lineage/:name",
    "GET /v1/registry/versions",
    "GET /v1/registry/versions/:version",
    "GET /v1/registry/diff",
    "GET /v1/registry/served-models",
    "GET /v1/predictions",
    "GET /v1/quality/:service",
    "DELETE /v1/training-sets/:id",
    "POST /materialize",
    "POST /materialize-incremental",
  ],
};
const LISTED = Object.entries(ROUTES).flatMap(([scope, lines]) =>
  lines.map((line) => [line, scope as RouteScope] as const),
);

let home = "";
let api: TestApi;
const texts = new Map<Scope, string>();
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "millrace-scopes-"));
  const keys = apiKeys(join(home, "keys.json"));
  for (const scope of SCOPES) {
    texts.set(scope, (await keys.create({ name: scope, scopes: [scope], expiresAt: null })).text);
  }
  api = await openTestApi({
    security: { keysFile: join(home, "keys.json"), rateLimit: null, corsOrigins: [], auditFile: null },
  });
});
afterAll(async () => {
  await api.close();
  await rm(home, { recursive: true });
});

/** The answer's code, if it is a refusal of who asks; each protocol has its own form of errors. */
async function refusal(line: string, scope: Scope | null): Promise<string | null> {
  const [method, route] = line.split(" ") as ["GET", string];
  const { body, statusCode } = await api.server.inject({
    method,
    url: route.replace(/:\w+/g, "x").replace("*", "x"),
    headers: scope === null ? {} : { authorization: `Bearer ${texts.get(scope)}` },
    ...(method === "GET" ? {} : { payload: {} }),
  });
  // A webhook without a signature is 401 too.
  if ((statusCode !== 401 && statusCode !== 403) || body.includes("WEBHOOK_REFUSED")) return null;
  return /UNAUTHORIZED|SCOPE_MISSING/.exec(body)?.[0] ?? body;
}

it("every route of the server is listed here with its scope, and nothing else is", () => {
  // HEAD asks for what GET does.
  const routes = api.server.routes.filter((line) => !line.startsWith("HEAD "));
  expect([...routes].sort()).toEqual(LISTED.map(([line]) => line).sort());
  expect(routes.length).toBeGreaterThan(80);
});

it("a route that nobody listed is an administrator's", () => {
  expect(declaredScope("POST", "/v1/something-new")).toBeNull();
  expect(api.server.routes.map((line) => declaredScope(...(line.split(" ") as [string, string])))).not.toContain(null);
});

describe.each(LISTED)("%s", (line, wanted) => {
  it(`is for ${wanted}`, async () => {
    expect(await refusal(line, null)).toBe(wanted === "public" ? null : "UNAUTHORIZED");
    for (const scope of ["predict", "read", "push"] as const) {
      const isAllowed = wanted === "public" || wanted === scope;
      expect([scope, await refusal(line, scope)]).toEqual([scope, isAllowed ? null : "SCOPE_MISSING"]);
    }
    expect(await refusal(line, "admin")).toBeNull();
  });
});
