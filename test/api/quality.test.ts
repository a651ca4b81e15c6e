import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeModel } from "./models/write-model.ts";
import { ADMIN, openTestApi, type TestApi } from "./open-api.ts";
import { RISK_COLUMNS } from "./payments.ts";

let api: TestApi;
beforeEach(async () => {
  api = await openTestApi();
  await writeModel(join(api.folder, "risk", "1"), { answer: 0.5, features: RISK_COLUMNS });
  await api.models.refresh();
});
afterEach(() => api.close());

const ask = (service: string, headers: object = ADMIN): ReturnType<TestApi["request"]> =>
  api.request("GET", `/v1/quality/${service}`, undefined, headers);

describe("GET /v1/quality/{service}", () => {
  it("tells what was sampled, and how it compares once there is a baseline", async () => {
    expect((await ask("risk_v1")).body).toMatchObject({ service: "risk_v1", model: null, rows: 0, features: [] });
    await api.predict(Array.from({ length: 120 }, (_, i) => ({ card_id: `c${i}`, amount: i })));
    const { status, body } = await ask("risk_v1");
    expect([status, body.model, body.rows]).toEqual([200, "risk", 120]);
    expect(body.features.length).toBeGreaterThan(0);
    expect(body.features[0]).toEqual({ name: expect.any(String), baseline: null, rows: 0, drifted: false });
    expect(body.predictions).toMatchObject([{ model: "risk", version: "1", rows: 120 }]);
    expect(body.skew).toEqual({ equal: 0, different: 0, unknown: 0, examples: [] });
  });

  it("is for operators, and names a service that there is not", async () => {
    expect((await ask("risk_v1", {})).status).toBe(401);
    expect((await ask("nothing")).body.code).toBe("SERVICE_UNKNOWN");
  });
});
