import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiKeys, apiKeys, type Scope } from "../../src/api/auth/api-keys.ts";
import { rateLimit } from "../../src/api/auth/rate-limit.ts";
import { ADMIN, openTestApi, type TestApi } from "./open-api.ts";

let home: string;
let keys: ApiKeys;
let api: TestApi;
const texts = new Map<Scope, string>();
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "millrace-keys-"));
  keys = apiKeys(join(home, "keys.json"));
  for (const scope of ["predict", "read", "push", "admin"] as const) {
    texts.set(scope, (await keys.create({ name: `for ${scope}`, scopes: [scope], expiresAt: null })).text);
  }
  api = await openTestApi({
    security: {
      keysFile: join(home, "keys.json"),
      rateLimit: null,
      corsOrigins: ["https://app.example.com"],
      auditFile: join(home, "audit.jsonl"),
    },
  });
});
afterAll(async () => {
  await api.close();
  await rm(home, { recursive: true });
});

const bearer = (text: string): object => ({ authorization: `Bearer ${text}` });

describe("a server that asks for keys", () => {
  it("refuses requests without one, with a wrong one, and with one of another scope", async () => {
    expect(await api.request("GET", "/v1/models")).toMatchObject({ status: 401, body: { code: "UNAUTHORIZED" } });
    const wrong = `${texts.get("read")!.slice(0, -4)}AAAA`;
    expect((await api.request("GET", "/v1/models", undefined, bearer(wrong))).status).toBe(401);
    expect(await api.request("GET", "/v1/models", undefined, bearer(texts.get("predict")!))).toMatchObject({
      status: 403,
      body: { code: "SCOPE_MISSING", scope: "read" },
    });
    expect((await api.request("POST", "/v1/prune", {}, bearer(texts.get("read")!))).status).toBe(403);
    expect((await api.request("GET", "/nothing")).status).toBe(401);
  });

  it("lets each scope do its part, admin all, and the token too", async () => {
    const get = (headers: object): Promise<{ status: number }> => api.request("GET", "/v1/models", undefined, headers);
    expect((await get(bearer(texts.get("read")!))).status).toBe(200);
    expect((await get({ "x-api-key": texts.get("read")! })).status).toBe(200);
    expect((await get(bearer(texts.get("admin")!))).status).toBe(200);
    expect((await get(ADMIN)).status).toBe(200);
    expect((await api.request("GET", "/v1/dead-letters", undefined, bearer(texts.get("admin")!))).status).toBe(200);
    expect((await api.request("GET", "/livez")).status).toBe(200);
  });

  it("refuses a key once it is revoked or expired", async () => {
    let now = Date.now();
    const clocked = apiKeys(join(home, "other.json"), () => now);
    const { key, text } = await clocked.create({ name: "x", scopes: ["read"], expiresAt: new Date(now + 10_000) });
    expect((await clocked.find(text))?.id).toBe(key.id);
    now += 10_001;
    expect(await clocked.find(text)).toBeNull();
    const lasting = await clocked.create({ name: "y", scopes: ["read"], expiresAt: null });
    await apiKeys(join(home, "other.json")).revoke(lasting.key.id);
    now += 2_000;
    expect(await clocked.find(lasting.text)).toBeNull();
    await expect(clocked.revoke("nothing")).rejects.toMatchObject({ code: "KEY_UNKNOWN" });
  });

  it("keeps secrets in no file and no log", async () => {
    const file = await readFile(join(home, "keys.json"), "utf8");
    await api.request("POST", "/v1/models/risk/rollback", {}, bearer(texts.get("admin")!));
    await expect.poll(() => readFile(join(home, "audit.jsonl"), "utf8").catch(() => "")).toContain("rollback");
    const audit = await readFile(join(home, "audit.jsonl"), "utf8");
    for (const text of texts.values()) {
      const secret = text.slice(16);
      for (const place of [file, audit, api.logged.join("\n")]) expect(place).not.toContain(secret);
    }
    expect((await stat(join(home, "keys.json"))).mode & 0o077).toBe(0);
    const [admin] = (await keys.list()).filter(({ scopes }) => scopes.includes("admin"));
    const line = JSON.parse(audit.trim().split("\n").at(-1)!);
    expect(line).toMatchObject({ who: admin!.id, method: "POST", params: { name: "risk" }, outcome: "refused" });
  });

  it("sets headers of security, and answers allowed origins alone", async () => {
    const plain = await api.request("GET", "/livez", undefined, { origin: "https://evil.example.com" });
    expect(plain.headers["x-content-type-options"]).toBe("nosniff");
    expect(plain.headers["access-control-allow-origin"]).toBeUndefined();
    const allowed = await api.server.inject({
      method: "OPTIONS",
      url: "/v1/models/risk/predict",
      headers: { origin: "https://app.example.com", "access-control-request-method": "POST" },
    });
    expect(allowed.statusCode).toBe(204);
    expect(allowed.headers["access-control-allow-origin"]).toBe("https://app.example.com");
  });
});

it("a training set by a query is an administrator's, whatever else may be read", async () => {
  const ask = (scope: Scope): ReturnType<TestApi["request"]> =>
    api.request("POST", "/v1/training-sets", { service: "payment_risk", sql: "SELECT 1" }, bearer(texts.get(scope)!));
  expect(await ask("read")).toMatchObject({ status: 403, body: { code: "SCOPE_MISSING", scope: "admin" } });
  expect((await ask("admin")).body.code).not.toBe("SCOPE_MISSING");
});

it("a key may send its rate, and a burst of a second's worth", () => {
  let now = 0;
  const { take: limit, giveBack } = rateLimit(() => now);
  expect([limit("a", 2), limit("a", 2), limit("b", 2)]).toEqual([0, 0, 0]);
  expect(limit("a", 2)).toBeCloseTo(0.5, 6);
  now += 500;
  expect(limit("a", 2)).toBe(0);
  giveBack("a");
  expect(limit("a", 2)).toBe(0);
  expect(limit("a", 2)).toBeGreaterThan(0);
});

it("a key's own rate counts instead of the server's", async () => {
  const own = await keys.create({ name: "fast", scopes: ["read"], expiresAt: null, rateLimit: 3 });
  const limited = await openTestApi({
    security: { keysFile: join(home, "keys.json"), rateLimit: 1, corsOrigins: [], auditFile: null },
  });
  try {
    const get = async (): Promise<number> =>
      (await limited.request("GET", "/v1/models", undefined, bearer(own.text))).status;
    expect([await get(), await get(), await get()]).toEqual([200, 200, 200]);
    expect(await get()).toBe(429);
  } finally {
    await limited.close();
  }
});

it("above the rate of a key 429 is answered with Retry-After", async () => {
  const limited = await openTestApi({
    security: { keysFile: join(home, "keys.json"), rateLimit: 1, corsOrigins: [], auditFile: null },
  });
  try {
    const get = (): ReturnType<TestApi["request"]> =>
      limited.request("GET", "/v1/models", undefined, bearer(texts.get("read")!));
    expect((await get()).status).toBe(200);
    const refused = await get();
    expect(refused).toMatchObject({ status: 429, body: { code: "RATE_LIMITED" } });
    expect(refused.headers["retry-after"]).toBe("1");
  } finally {
    await limited.close();
  }
});
