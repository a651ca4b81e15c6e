import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compilePlan, planHash, planText } from "../../src/feature_engineering/plan/plan.ts";
import { ADMIN, openTestApi, type TestApi } from "./open-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({
    backend: {
      planVersions: async () => {
        const plan = compilePlan(api.declarations);
        const earlier = { ...plan, services: [], models: [] };
        return [
          { version: 1, hash: planHash(earlier), appliedAt: 1_000, plan: earlier },
          { version: 2, hash: planHash(plan), appliedAt: 2_000, plan },
        ];
      },
    },
  });
});
afterAll(() => api.close());

const get = (path: string): ReturnType<TestApi["request"]> => api.request("GET", path, undefined, ADMIN);

describe("/v1/registry", () => {
  it("lists and searches what is declared", async () => {
    const all = await get("/v1/registry");
    expect([all.status, all.body.version]).toEqual([200, 2]);
    expect(all.body.entries.length).toBeGreaterThan(4);
    const views = await get("/v1/registry?kind=view&text=card");
    expect(views.body.entries.length).toBeGreaterThan(0);
    for (const { kind, found } of views.body.entries) expect([kind, found.length > 0]).toEqual(["view", true]);
    expect((await get("/v1/registry?at=1&kind=service")).body.entries).toEqual([]);
    const [{ name }] = views.body.entries;
    expect((await get(`/v1/registry/entries/${name}`)).body).toMatchObject({ kind: "view", entry: { name } });
  });

  it("shows who reads what", async () => {
    const { body } = await get("/v1/registry/lineage/payments");
    expect(body.node).toMatchObject({ kind: "source", name: "payments" });
    expect(body.downstream.map((node: { kind: string }) => node.kind)).toContain("service");
    const column = await get("/v1/registry/lineage/payments?column=amount");
    expect(column.body.columns.length).toBeGreaterThan(0);
    for (const one of column.body.columns) expect(one.columns).toContain("payments.amount");
  });

  it("shows versions and what changed between them", async () => {
    const { versions } = (await get("/v1/registry/versions")).body;
    expect(versions.map(({ version }: { version: number }) => version)).toEqual([1, 2]);
    const { plan } = (await get("/v1/registry/versions/current")).body;
    expect(planHash(plan)).toBe(versions[1].hash);
    expect(JSON.parse(planText(plan))).toEqual(plan);
    const { body } = await get("/v1/registry/diff?from=1");
    expect(body.changes.map(({ kind, change }: { kind: string; change: string }) => [kind, change])).toContainEqual([
      "service",
      "added",
    ]);
    expect(body.text).toContain("+ service");
  });

  it("keeps which model versions served", async () => {
    const model = api.declarations.models[0]!.name;
    const recorded = await openTestApi();
    try {
      await recorded.backend.recordServed(model, "7");
      await recorded.backend.recordServed("nobody", "7");
      const answer = await recorded.request("GET", "/v1/registry/served-models", undefined, ADMIN);
      expect(answer.body.served_models).toMatchObject([{ model, version: "7", plan_hash: null }]);
    } finally {
      await recorded.close();
    }
  });

  it.each([
    ["/v1/registry?kind=table", 400, "REQUEST_INVALID"],
    ["/v1/registry?colour=red", 400, "REQUEST_INVALID"],
    ["/v1/registry?at=9", 404, "PLAN_VERSION_UNKNOWN"],
    ["/v1/registry/entries/none", 404, "ENTRY_UNKNOWN"],
    ["/v1/registry/lineage/payments?column=none", 404, "COLUMN_UNKNOWN"],
    ["/v1/registry/versions/zzz", 404, "PLAN_VERSION_UNKNOWN"],
    ["/v1/registry/diff", 400, "REQUEST_INVALID"],
  ])("answers %s with %i %s", async (path, status, code) => {
    const answer = await get(path);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  it("is for administrators", async () => {
    expect((await api.request("GET", "/v1/registry")).status).toBe(401);
  });
});
