import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeModel } from "./models/write-model.ts";
import { openTestApi, payment, type TestApi } from "./open-api.ts";
import { NOW, RISK_COLUMNS } from "./payments.ts";

describe("POST /v1/models/{name}/predict", () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await openTestApi({ maxRows: 5 });
    await writeModel(join(api.folder, "risk", "3"), { answer: 0.25, features: RISK_COLUMNS });
    await api.models.refresh();
    await api.push([payment("p1", 60), payment("p2", 30, { amount: 2.5 }), payment("p3", 7_200)]);
  });
  afterAll(() => api.close());

  it("answers one row with the version, the moment and the declared output", async () => {
    const { status, headers, body } = await api.predict([{ card_id: "c1", amount: 1 }]);
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(body).toEqual({
      model: "risk",
      version: "3",
      as_of: new Date(NOW).toISOString(),
      predictions: [{ probability: 0.25 }],
    });
  });

  it("answers within the time that the request allows, or says that it passed", async () => {
    const url = "/v1/models/risk/predict";
    const body = { rows: [{ card_id: "c1", amount: 1 }] };
    expect((await api.request("POST", url, body, { "x-request-timeout-ms": "10000" })).status).toBe(200);
    for (const wrong of ["0", "-1", "1.5", "soon", ""]) {
      const answer = await api.request("POST", url, body, { "x-request-timeout-ms": wrong });
      expect(answer.body, wrong).toMatchObject({ status: 400, code: "REQUEST_INVALID" });
    }
    // Its turn of the event loop is held up for longer.
    const late = api.request("POST", url, body, { "x-request-timeout-ms": "5" });
    const until = performance.now() + 50;
    setImmediate(() => {
      while (performance.now() < until);
    });
    expect((await late).body).toMatchObject({ status: 504, code: "DEADLINE_EXCEEDED" });
  });

  it("answers many rows in their order, with the features that the model read and their statuses", async () => {
    const rows = [
      { card_id: "c1", amount: 0.1 },
      { card_id: "nobody", amount: 3 },
    ];
    const { body } = await api.predict(rows, { include_features: true });
    expect(body.predictions).toEqual([{ probability: 0.25 }, { probability: 0.25 }]);
    expect(body.features).toEqual([
      { n: 2, spend: 12.5, amount: 0.1 },
      { n: 0, spend: 0, amount: 3 },
    ]);
    expect(body.statuses).toEqual([
      { n: "PRESENT", spend: "PRESENT", amount: "PRESENT" },
      { n: "NOT_FOUND", spend: "NOT_FOUND", amount: "PRESENT" },
    ]);
  });

  it("reads at as_of, given as ISO 8601 or epoch milliseconds, and flags rows with later events", async () => {
    const then = NOW - 45_000;
    for (const as_of of [new Date(then).toISOString(), then]) {
      const { body } = await api.predict(
        [
          { card_id: "c1", amount: 1 },
          { card_id: "x", amount: 1 },
        ],
        {
          as_of,
          include_features: true,
        },
      );
      expect(body.as_of).toBe(new Date(then).toISOString());
      expect(body.head_overlap).toEqual([true, false]);
    }
  });

  it("refuses an exact read with AS_OF_TOO_EARLY if a later event was applied", async () => {
    const { status, body } = await api.predict([{ card_id: "c1", amount: 1 }], { as_of: NOW - 45_000, exact: true });
    expect([status, body.code]).toEqual([409, "AS_OF_TOO_EARLY"]);
  });

  it.each([
    ["an unknown model", "nope", { rows: [{}] }, 404, "MODEL_UNKNOWN", undefined],
    ["a body that is a list", "risk", [], 400, "REQUEST_INVALID", "The body"],
    ["no rows", "risk", {}, 400, "REQUEST_INVALID", "rows"],
    ["an empty list of rows", "risk", { rows: [] }, 400, "REQUEST_INVALID", "rows"],
    ["a row that is null", "risk", { rows: [{ card_id: "c", amount: 1 }, null] }, 400, "REQUEST_INVALID", "rows[1]"],
    ["an unknown member", "risk", { rows: [{}], as_off: 1 }, 400, "REQUEST_INVALID", "as_off"],
    ["a moment without a zone", "risk", { rows: [{}], as_of: "2026-01-01T00:00:00" }, 400, "REQUEST_INVALID", "as_of"],
    ["exact as a text", "risk", { rows: [{}], exact: "yes" }, 400, "REQUEST_INVALID", "exact"],
    ["a missing key", "risk", { rows: [{ amount: 1 }] }, 400, "LOOKUP_COLUMN_MISSING", "rows[0].card_id"],
    [
      "a key of a wrong type in the second row",
      "risk",
      {
        rows: [
          { card_id: "c", amount: 1 },
          { card_id: 7, amount: 1 },
        ],
      },
      400,
      "LOOKUP_INVALID",
      "rows[1].card_id",
    ],
    [
      "an unknown column",
      "risk",
      { rows: [{ card_id: "c", amount: 1, amonut: 2 }] },
      400,
      "LOOKUP_COLUMN_UNKNOWN",
      "rows[0].amonut",
    ],
    ["more rows than allowed", "risk", { rows: new Array(6).fill({}) }, 413, "TOO_MANY_ROWS", "rows"],
    ["a model without a version", "scaled", { rows: [{ card_id: "c", amount: 1 }] }, 503, "MODEL_NOT_READY", undefined],
  ])("refuses %s", async (_what, model, body, status, code, path) => {
    const answer = await api.request("POST", `/v1/models/${model}/predict`, body);
    expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
    expect(answer.body).toMatchObject({ status, code, type: expect.any(String), title: expect.any(String) });
    expect([answer.status, answer.body.path]).toEqual([status, path]);
    expect(answer.body.detail.length).toBeGreaterThan(20);
  });

  it("does not let a row named __proto__ or constructor change anything", async () => {
    for (const name of ["__proto__", "constructor"]) {
      const text = `{"rows":[{"card_id":"c1","amount":1,"${name}":{"polluted":true}}]}`;
      const { status, body } = await api.request("POST", "/v1/models/risk/predict", text);
      expect([status, body.code]).toEqual([400, "LOOKUP_COLUMN_UNKNOWN"]);
    }
    const top = await api.request("POST", "/v1/models/risk/predict", '{"__proto__":{"rows":[{}]}}');
    expect([top.status, top.body.path]).toEqual([400, "__proto__"]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("keeps entity keys out of the log, also when it refuses", async () => {
    await api.predict([{ card_id: "very-private-card", amount: "x" }]);
    await api.predict([{ card_id: "very-private-card", amount: 1 }]);
    expect(api.logged.join("")).not.toContain("very-private-card");
  });
});
