import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN, openTestApi, payment, type TestApi } from "./open-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

const start = (body: unknown): ReturnType<TestApi["request"]> => api.request("POST", "/v1/backfills", body, ADMIN);

describe("/v1/backfills", () => {
  it("starts a job, shows it until it is done, and stops it", async () => {
    await api.push([payment("1", 60), payment("2", 50, { card_id: "c2" })]);
    const started = await start({ kind: "materialize" });
    expect([started.status, started.body.kind]).toEqual([202, "materialize"]);
    const url = `/v1/backfills/${started.body.id}`;
    await expect.poll(async () => (await api.request("GET", url, undefined, ADMIN)).body.state).toBe("done");
    const { body } = await api.request("GET", url, undefined, ADMIN);
    for (const view of body.views) expect(view).toMatchObject({ written: 0, done: true });
    expect((await api.request("GET", "/v1/backfills", undefined, ADMIN)).body.backfills).toEqual([body]);
    expect((await api.request("DELETE", url, undefined, ADMIN)).body.state).toBe("done");
  });

  it.each([
    ["an unknown view", { views: ["none"] }, 404, "VIEW_UNKNOWN"],
    ["an unknown source", { source: "none" }, 404, "SOURCE_UNKNOWN"],
    ["files of no source", { files: ["a.csv"] }, 400, "REQUEST_INVALID"],
    ["files to materialize", { kind: "materialize", source: "payments", files: ["a.csv"] }, 400, "REQUEST_INVALID"],
    ["another kind", { kind: "erase" }, 400, "REQUEST_INVALID"],
    ["views that are no list", { views: "activity" }, 400, "REQUEST_INVALID"],
    ["something that it does not know", { speed: 1 }, 400, "REQUEST_INVALID"],
  ])("refuses %s", async (_what, body, status, code) => {
    const answer = await start(body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  it("knows no other job, and lets nobody but administrators in", async () => {
    for (const method of ["GET", "DELETE"] as const) {
      const answer = await api.request(method, "/v1/backfills/none", undefined, ADMIN);
      expect([answer.status, answer.body.code]).toEqual([404, "BACKFILL_UNKNOWN"]);
    }
    for (const method of ["GET", "POST"] as const) {
      expect((await api.request(method, "/v1/backfills")).status).toBe(401);
    }
  });
});
