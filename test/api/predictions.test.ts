import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PREDICTED_ROWS_CHANNEL, type PredictedRowsEvent } from "../../src/api/channels.ts";
import { encodeLoggedPrediction, type LoggedPrediction } from "../../src/feature_store/logged-prediction.ts";
import { writeModel } from "./models/write-model.ts";
import { ADMIN, openTestApi, payment, type TestApi } from "./open-api.ts";
import { RISK_COLUMNS } from "./payments.ts";

const riskRow = (more: object = {}): object => ({ card_id: "c1", amount: 1, ...more });

let api: TestApi;
beforeEach(async () => {
  api = await openTestApi({ sampleRate: 1 });
  await writeModel(join(api.folder, "risk", "1"), { answer: 0.5, features: RISK_COLUMNS });
  await api.models.refresh();
});
afterEach(() => api.close());

const check = (body: object = {}): ReturnType<TestApi["request"]> =>
  api.request("POST", "/v1/check-predictions", body, ADMIN);

describe("the prediction log", () => {
  it("keeps what serving knew: later events, also late ones, change nothing of it", async () => {
    await api.push([payment("1", 600), payment("2", 300, { amount: 5.25 })]);
    await api.predict([riskRow(), riskRow({ card_id: "nobody" })]);
    await api.predictionLog.flush();
    const { predictions } = (await api.request("GET", "/v1/predictions", undefined, ADMIN)).body;
    expect(predictions.length).toBe(2);
    expect(predictions[0]).toMatchObject({ model: "risk", version: "1", checkable: true });
    const before = await check();
    expect(before.body).toMatchObject({ predictions: 2, mismatches: 0, skipped: 0, examples: [] });
    expect(before.body.values).toBeGreaterThan(2);
    // These lie in the windows that were read.
    await api.push([payment("3", 200, { amount: 100 }), payment("4", 250, { card_id: "nobody" })]);
    expect((await check()).body).toMatchObject({ predictions: 2, mismatches: 0 });
    await api.predict([riskRow()]);
    await api.predictionLog.flush();
    const newest = await check({ model: "risk", limit: 1 });
    expect(newest.body).toMatchObject({ predictions: 1, mismatches: 0 });
  });

  it("shows a value that history does not give, and skips what cannot be known", async () => {
    await api.push([payment("1", 600)]);
    await api.predict([riskRow()]);
    await api.predictionLog.flush();
    const [stored] = await api.backend.predictions({ limit: 1 });
    const logged = JSON.parse(stored!.json) as LoggedPrediction;
    const wrong = logged.inputs.map((value) => (typeof value === "number" ? value + 1 : value));
    const again = (changes: Partial<LoggedPrediction>): Promise<void> =>
      api.backend.appendPredictions([{ ...stored!, json: encodeLoggedPrediction({ ...logged, ...changes }) }]);
    await again({ inputs: wrong });
    const report = (await check({ limit: 1 })).body;
    expect(report.mismatches).toBeGreaterThan(0);
    expect(report.examples[0]).toMatchObject({ model: "risk", feature: expect.any(String) });
    await again({ serviceHash: "other" });
    await again({ views: null });
    expect((await check({ limit: 2 })).body).toMatchObject({ predictions: 0, skipped: 2 });
  });

  it("is erased with its entity", async () => {
    await api.push([payment("1", 600)]);
    await api.predict([riskRow(), riskRow({ card_id: "other" })]);
    await api.predictionLog.flush();
    const erased = await api.request("POST", "/v1/erasures", { entity: "card", key: { card_id: "c1" } }, ADMIN);
    expect(erased.body.predictions).toBe(1);
    expect((await api.backend.predictions({ limit: 9 })).length).toBe(1);
  });

  it.each([
    ["GET", "/v1/predictions?model=none", undefined, 404, "MODEL_UNKNOWN"],
    ["GET", "/v1/predictions?limit=0", undefined, 400, "REQUEST_INVALID"],
    ["POST", "/v1/check-predictions", { from: "yesterday" }, 400, "REQUEST_INVALID"],
    ["POST", "/v1/check-predictions", { rows: 1 }, 400, "REQUEST_INVALID"],
  ] as const)("answers %s %s %j with %i %s", async (method, url, body, status, code) => {
    const answer = await api.request(method, url, body, ADMIN);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect((await api.request(method, url, body)).status).toBe(401);
  });
});

it("redacted columns reach neither the cold store nor what watches quality, and the rest is still checked", async () => {
  const redacting = await openTestApi({ sampleRate: 1, redact: ["amount", "spend"] });
  const events: PredictedRowsEvent[] = [];
  const note = (event: unknown): void => void events.push(event as PredictedRowsEvent);
  subscribe(PREDICTED_ROWS_CHANNEL, note);
  try {
    await writeModel(join(redacting.folder, "risk", "1"), { answer: 0.5, features: RISK_COLUMNS });
    await redacting.models.refresh();
    await redacting.push([payment("1", 600, { amount: 123_456.5 })]);
    await redacting.predict([riskRow({ amount: 987_654.25 })]);
    await redacting.predictionLog.flush();
    const [stored] = await redacting.backend.predictions({ limit: 1 });
    expect(JSON.stringify(stored)).not.toMatch(/987654|123456/);
    expect(JSON.parse(stored!.json)).toMatchObject({ lookup: ["c1", null], redacted: [1, 2], inputs: [1, null, null] });
    const report = await redacting.request("POST", "/v1/check-predictions", {}, ADMIN);
    expect(report.body).toMatchObject({ predictions: 1, values: 1, mismatches: 0 });
    expect(events.map(({ columns }) => columns.map(({ name }) => name))).toEqual([["n"]]);
    expect(events[0]!.feature(0, 0)).toBe(1);
    const quality = await redacting.request("GET", "/v1/quality/risk_v1", undefined, ADMIN);
    expect(quality.text).not.toMatch(/987654|123456|spend|amount/);
    expect(redacting.logged.join("\n")).not.toMatch(/987654|123456/);
  } finally {
    unsubscribe(PREDICTED_ROWS_CHANNEL, note);
    await redacting.close();
  }
});

it("a row whose key is redacted cannot be tied to its entity, nor computed again", async () => {
  const redacting = await openTestApi({ sampleRate: 1, redact: ["card_id"] });
  try {
    await writeModel(join(redacting.folder, "risk", "1"), { answer: 0.5, features: RISK_COLUMNS });
    await redacting.models.refresh();
    await redacting.predict([riskRow({ card_id: "4111-secret" })]);
    await redacting.predictionLog.flush();
    const [stored] = await redacting.backend.predictions({ limit: 1 });
    expect(JSON.stringify(stored)).not.toContain("4111");
    const report = await redacting.request("POST", "/v1/check-predictions", {}, ADMIN);
    expect(report.body).toMatchObject({ predictions: 0, skipped: 1 });
  } finally {
    await redacting.close();
  }
});
