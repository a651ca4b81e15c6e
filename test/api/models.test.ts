import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { writeModel } from "./models/write-model.ts";
import { ADMIN, openTestApi, type TestApi } from "./open-api.ts";
import { RISK_COLUMNS } from "./payments.ts";

describe("the models' routes", () => {
  let api: TestApi;
  const save = (version: string, answer: number, more: object = {}): Promise<void> =>
    writeModel(join(api.folder, "risk", version), { answer, features: RISK_COLUMNS, ...more });
  const served = async (): Promise<unknown> => (await api.predict([{ card_id: "c", amount: 1 }])).body.version;

  beforeAll(async () => {
    api = await openTestApi();
    await save("1", 1);
    await api.models.refresh();
    await save("2", 2);
    await api.models.refresh();
  });
  afterAll(() => api.close());

  it("list every declared model, also one without a version, with why", async () => {
    const { models } = (await api.request("GET", "/v1/models")).body;
    expect(models.map(({ name, status }: { name: string; status: string }) => [name, status])).toEqual([
      ["risk", "serving"],
      ["scaled", "unavailable"],
    ]);
    expect(models[1]).toMatchObject({ serving: null, last_failure: { code: "MODEL_NOT_FOUND" } });
  });

  it("describe a model: what it takes and answers, which version serves, which served before", async () => {
    const { status, body } = await api.request("GET", "/v1/models/risk");
    expect(status).toBe(200);
    expect(body).toMatchObject({
      name: "risk",
      service: "risk_v1",
      inputs: [
        { name: "card_id", role: "key", type: "string", nullable: false },
        { name: "amount", role: "request", type: "float64", nullable: false },
      ],
      outputs: [{ name: "probability", type: "float64" }],
      serving: { version: "2", flavor: "xgboost", in_memory: true, load_seconds: expect.any(Number) },
      previous: { version: "1" },
      pinned: null,
      last_failure: { code: "MODEL_NOT_FOUND" },
    });
    expect(body.versions.map(({ version }: { version: string }) => version)).toEqual(["2", "1"]);
    const none = await api.request("GET", "/v1/models/nope");
    expect([none.status, none.body.code]).toEqual([404, "MODEL_UNKNOWN"]);
  });

  it("show what is wrong with a version that is corrupt or does not fit, while the good one serves", async () => {
    await save("3", 3, { bytes: '{"learner":{' });
    await save("4", 4, { features: ["nothing_known"] });
    await api.models.refresh();
    const { body } = await api.request("GET", "/v1/models/risk");
    const failures = body.versions.map(
      ({ version, failure }: { version: string; failure: { code: string } | null }) => [version, failure?.code ?? null],
    );
    expect(failures).toEqual([
      ["4", "MODEL_SERVICE_MISMATCH"],
      ["3", "MODEL_CORRUPT"],
      ["2", null],
      ["1", null],
    ]);
    expect(await served()).toBe("2");
  });

  it("go back to the previous version, and pin one, for administrators", async () => {
    const back = await api.request("POST", "/v1/models/risk/rollback", undefined, ADMIN);
    expect([back.status, back.body.serving.version, back.body.previous.version]).toEqual([200, "1", "2"]);
    expect(await served()).toBe("1");
    const pinned = await api.request("POST", "/v1/models/risk/pin", { version: "2" }, ADMIN);
    expect([pinned.body.serving.version, pinned.body.pinned]).toEqual(["2", "2"]);
    await api.request("POST", "/v1/models/risk/pin", { version: null }, ADMIN);
    expect(await served()).toBe("2");
  });

  it.each([
    ["a rollback of a model without versions", "/v1/models/scaled/rollback", undefined, 409, "MODEL_NO_PREVIOUS"],
    ["a rollback of an unknown model", "/v1/models/nope/rollback", undefined, 404, "MODEL_UNKNOWN"],
    ["a pin of an unknown version", "/v1/models/risk/pin", { version: "99" }, 404, "MODEL_VERSION_UNKNOWN"],
    ["a pin of a corrupt version", "/v1/models/risk/pin", { version: "3" }, 422, "MODEL_CORRUPT"],
    ["a pin of a version that does not fit", "/v1/models/risk/pin", { version: "4" }, 422, "MODEL_SERVICE_MISMATCH"],
    ["a pin of a number", "/v1/models/risk/pin", { version: 2 }, 400, "REQUEST_INVALID"],
  ] as const)("refuse %s", async (_what, url, body, status, code) => {
    const answer = await api.request("POST", url, body, ADMIN);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(await served()).toBe("2");
  });

  it("take a model out of memory, whose requests are refused then, and bring it back with what came meanwhile", async () => {
    const refused = await api.request("POST", "/v1/models/risk/unload");
    expect([refused.status, refused.body.code]).toEqual([401, "UNAUTHORIZED"]);
    const out = await api.request("POST", "/v1/models/risk/unload", undefined, ADMIN);
    expect(out.body).toMatchObject({ status: "unloaded", serving: { version: "2", in_memory: false } });
    const { status, body } = await api.predict([{ card_id: "c", amount: 1 }]);
    expect([status, body.code, body.reason]).toEqual([503, "MODEL_NOT_READY", "MODEL_UNLOADED"]);
    await save("5", 5);
    await api.models.refresh();
    expect((await api.request("GET", "/v1/models/risk")).body.status).toBe("unloaded");
    const back = await api.request("POST", "/v1/models/risk/load", undefined, ADMIN);
    expect(back.body).toMatchObject({ status: "serving", serving: { version: "5", in_memory: true } });
    expect(await served()).toBe("5");
  });

  it("find new versions in the background, without being asked", async () => {
    const other = await openTestApi({ host: { pollSeconds: 0.01 } });
    await writeModel(join(other.folder, "risk", "1"), { answer: 1, features: RISK_COLUMNS });
    await vi.waitFor(async () => {
      const { body } = await other.predict([{ card_id: "c", amount: 1 }]);
      expect(body.version).toBe("1");
    }, 30_000);
    await other.close();
  });
});
