import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN, openTestApi, payment, type TestApi } from "./open-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

const erase = (body: unknown): ReturnType<TestApi["request"]> => api.request("POST", "/v1/erasures", body, ADMIN);

describe("POST /v1/erasures", () => {
  it("erases an entity, and lists that without its key", async () => {
    await api.push([payment("1", 60, { card_id: "gone" }), payment("2", 50, { card_id: "kept" })]);
    const answer = await erase({ entity: "card", key: { card_id: "gone" } });
    expect([answer.status, answer.body]).toEqual([
      200,
      {
        entity: "card",
        events: 1,
        dead_letters: 0,
        predictions: 0,
        values: expect.any(Number),
        other_values: expect.any(Number),
        until: expect.stringMatching(/Z$/),
        pending: false,
      },
    ]);
    expect(answer.body.values).toBeGreaterThan(0);
    const list = await api.request("GET", "/v1/erasures", undefined, ADMIN);
    expect(list.body).toEqual({ erasures: [{ id: 1, entity: "card", until: answer.body.until, pending: false }] });
    expect(list.text).not.toContain("gone");
  });

  it.each([
    ["an unknown entity", { entity: "nobody", key: {} }, 404, "ENTITY_UNKNOWN"],
    ["no key", { entity: "card" }, 400, "REQUEST_INVALID"],
    ["a key that is a list", { entity: "card", key: [1] }, 400, "REQUEST_INVALID"],
    ["a key column that is missing", { entity: "card", key: {} }, 400, "ENTITY_KEY_INVALID"],
    ["a key column too many", { entity: "card", key: { card_id: "a", x: 1 } }, 400, "ENTITY_KEY_INVALID"],
    ["a key of another type", { entity: "card", key: { card_id: 7 } }, 400, "ENTITY_KEY_INVALID"],
    ["something that it does not know", { entity: "card", key: {}, now: true }, 400, "REQUEST_INVALID"],
  ])("refuses %s", async (_what, body, status, code) => {
    const answer = await erase(body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.headers["content-type"]).toContain("application/problem+json");
  });

  it.each(["POST", "GET"] as const)("is for administrators: %s", async (method) => {
    const answer = await api.request(method, "/v1/erasures", method === "POST" ? {} : undefined);
    expect([answer.status, answer.body.code]).toEqual([401, "UNAUTHORIZED"]);
  });
});

describe("POST /v1/prune", () => {
  it("drops nothing that is in use, and asks for whole requests", async () => {
    const answer = await api.request("POST", "/v1/prune", { dry_run: true }, ADMIN);
    expect([answer.status, answer.body]).toEqual([200, { kept: expect.any(Number), keyspaces: [] }]);
    for (const body of [{ plans: 0 }, { plans: 1.5 }, { unapplied: "yes" }, { dry: true }]) {
      const refused = await api.request("POST", "/v1/prune", body, ADMIN);
      expect([refused.status, refused.body.code]).toEqual([400, "REQUEST_INVALID"]);
    }
    expect((await api.request("POST", "/v1/prune", {})).status).toBe(401);
  });
});
