import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestApi, payment, type TestApi } from "./open-api.ts";
import { NOW } from "./payments.ts";

const BIG = "9223372036854775807";
const EPOCH = "1970-01-01T00:00:00Z";
const at = (secondsAgo: number): string => new Date(NOW - secondsAgo * 1_000).toISOString();
let api: TestApi;

const read = (body: object | string) => api.request("POST", "/get-online-features", body);
/** An error's parts, as Feast's client takes them apart. */
const problem = (text: string) => JSON.parse(JSON.parse(text));

beforeAll(async () => {
  api = await openTestApi();
  await api.push([payment("p1", 60), payment("p2", 30, { account: 7, amount: 2.5 })]);
  const exact = JSON.stringify([payment("p3", 20, { card_id: "c2" })]).replace('"account":1', `"account":${BIG}`);
  await api.pipeline.push("payments", exact);
  await api.pipeline.advanceTo(NOW);
});
afterAll(() => api.close());

describe("POST /get-online-features", () => {
  it("reads several views by a list, by columns: entities first, then the features as asked", async () => {
    const features = ["card_activity:spend", "account_activity:n", "card_activity:last_at"];
    const { status, body } = await read({ features, entities: { card_id: ["c1", "no"], account: [7, 8] } });
    expect(status).toBe(200);
    expect(body.metadata).toEqual({ feature_names: ["card_id", "account", "spend", "n", "last_at"] });
    const seconds = Math.floor((NOW - 30_000) / 1_000);
    expect(body.results).toEqual([
      { values: ["c1", "no"], statuses: ["PRESENT", "PRESENT"], event_timestamps: [EPOCH, EPOCH] },
      { values: [7, 8], statuses: ["PRESENT", "PRESENT"], event_timestamps: [EPOCH, EPOCH] },
      { values: [12.5, 0], statuses: ["PRESENT", "NOT_FOUND"], event_timestamps: [at(30), EPOCH] },
      { values: [1, 0], statuses: ["PRESENT", "NOT_FOUND"], event_timestamps: [at(30), EPOCH] },
      { values: [seconds, null], statuses: ["PRESENT", "NOT_FOUND"], event_timestamps: [at(30), EPOCH] },
    ]);
  });

  it("writes doubles with a point and int64 with all digits, since the client guesses types from the JSON", async () => {
    const features = ["account_activity:n", "account_activity:last_account"];
    const { text } = await read(`{"features":${JSON.stringify(features)},"entities":{"account":[${BIG}]}}`);
    expect(text).toContain('{"values":[1.0],');
    expect(text).toContain(`{"values":[${BIG}],"statuses":["PRESENT"]`);
  });

  it("names features in full when asked, and refuses two of one name when not", async () => {
    const asked = { features: ["card_activity:n", "account_activity:n"], entities: { card_id: ["c1"], account: [1] } };
    const { body } = await read({ ...asked, full_feature_names: true });
    expect(body.metadata.feature_names).toEqual(["card_id", "account", "card_activity__n", "account_activity__n"]);
    const refused = await read(asked);
    expect(refused.status).toBe(400);
    expect(problem(refused.text)).toMatchObject({ module: "feast.errors", class: "FeatureNameCollisionError" });
  });

  it("reads a feature service, whose request columns come with the entities", async () => {
    const asked = { feature_service: "risk_v1", entities: { card_id: ["c1", "c2"], amount: [3, 4] } };
    const short = await read(asked);
    expect(short.body.metadata.feature_names).toEqual(["card_id", "n", "spend", "amount"]);
    expect(short.body.results.map((column: { values: unknown }) => column.values)).toEqual([
      ["c1", "c2"],
      [2, 1],
      [12.5, 10],
      [3, 4],
    ]);
    const full = await read({ ...asked, full_feature_names: true, include_feature_view_version_metadata: true });
    expect(full.body.metadata).toEqual({
      feature_names: ["card_id", "amount", "card_activity__n", "card_activity__spend", "risk_v1__amount"],
      feature_view_metadata: [{ name: "card_activity", version: 0 }],
    });
  });

  it("gives a computed column the latest event time of all that it may come from", async () => {
    const asked = { card_id: ["c1"], account: [1], asked: [NOW] };
    const { body } = await read({ feature_service: "typed_v1", entities: asked });
    const column = body.metadata.feature_names.indexOf("asked");
    expect(body.results[column]).toEqual({
      values: [Math.floor(NOW / 1_000)],
      statuses: ["PRESENT"],
      event_timestamps: [at(30)],
    });
  });

  it("answers an empty frame with empty columns", async () => {
    const { body } = await read({ features: ["card_activity:n"], entities: { card_id: [] } });
    expect(body.results).toEqual([
      { values: [], statuses: [], event_timestamps: [] },
      { values: [], statuses: [], event_timestamps: [] },
    ]);
  });

  it.each([
    ["an unknown view", { features: ["nope:n"] }, 404, "FeatureViewNotFoundException", "VIEW_UNKNOWN"],
    ["an unknown feature", { features: ["card_activity:nope"] }, 404, "FeastError", "FEATURE_UNKNOWN"],
    ["an unknown service", { feature_service: "nope" }, 404, "FeatureServiceNotFoundException", "SERVICE_UNKNOWN"],
    ["a feature without a view", { features: ["n"] }, 400, "FeastError", "FEATURE_LIST_INVALID"],
    ["no features", { features: [] }, 400, "FeastError", "FEATURE_LIST_INVALID"],
    ["features that are no texts", { features: [1] }, 400, "FeastError", "REQUEST_INVALID"],
    ["a missing key", { features: ["account_activity:n"] }, 400, "FeastError", "LOOKUP_COLUMN_MISSING"],
    ["columns of two lengths", { entities: { card_id: ["a"], x: [] } }, 400, "FeastError", "REQUEST_INVALID"],
    ["a key of another type", { entities: { card_id: [1] } }, 400, "FeastError", "LOOKUP_INVALID"],
    ["entities that are no columns", { entities: { card_id: "a" } }, 400, "FeastError", "REQUEST_INVALID"],
    ["no entities", { entities: {} }, 400, "FeastError", "REQUEST_INVALID"],
    ["too many rows", { entities: { card_id: new Array(1_001).fill("a") } }, 413, "FeastError", "TOO_MANY_ROWS"],
  ])("refuses %s in the form that Feast's client raises", async (_what, asked, status, name, code) => {
    const answer = await read({ features: ["card_activity:n"], entities: { card_id: ["c1"] }, ...asked });
    expect(answer.status).toBe(status);
    expect(problem(answer.text)).toMatchObject({ module: "feast.errors", class: name, code });
  });

  it("refuses what is no JSON in the same form", async () => {
    const answer = await read("{");
    expect([answer.status, problem(answer.text).code]).toEqual([400, "BODY_MALFORMED"]);
  });
});

describe("POST /push", () => {
  const df = { payment_id: ["q1", "q2"], card_id: ["c5", "c5"], account: [5, 5], amount: [1, 2] };
  const spend = async (card: string) =>
    (await read({ features: ["card_activity:spend"], entities: { card_id: [card] } })).body.results[1].values[0];

  it("takes rows as events that can be read when it answers; an id that comes again adds nothing", async () => {
    const event_timestamp = [at(10).slice(0, -1), at(9).replace("T", " ").replace("Z", "+00:00")];
    for (const to of ["online", "offline", "online_and_offline"]) {
      const body = { push_source_name: "payments", df: { ...df, event_timestamp, ignored: [1, 2] }, to };
      const { status, text } = await api.request("POST", "/push", body);
      expect([status, text]).toEqual([200, ""]);
      expect(await spend("c5")).toBe(3);
    }
  });

  it("takes columns as pandas' to_dict makes them, and times as epoch seconds", async () => {
    const seconds = NOW / 1_000 - 5;
    const frame = { payment_id: { "0": "r1" }, card_id: { "0": "c6" }, account: { "0": 6 }, amount: { "0": 4 } };
    const body = { push_source_name: "payments", df: { ...frame, at: { "0": seconds } } };
    expect((await api.request("POST", "/push", body)).status).toBe(200);
    expect(await spend("c6")).toBe(4);
  });

  it("takes all rows or none, and says which row is wrong", async () => {
    const body = {
      push_source_name: "payments",
      df: { ...df, payment_id: ["s1", "s2"], card_id: ["c7", "c7"], amount: [1, "x"], event_timestamp: [at(2), at(1)] },
    };
    const answer = await api.request("POST", "/push", body);
    expect(answer.status).toBe(422);
    expect(problem(answer.text)).toMatchObject({ code: "EVENTS_REJECTED" });
    expect(problem(answer.text).message).toMatch(/row 1 of df: column "amount"/);
    expect(await spend("c7")).toBe(0);
  });

  it("takes a push with an Idempotency-Key once", async () => {
    const body = {
      push_source_name: "payments",
      df: { ...df, payment_id: ["t1", "t2"], card_id: ["c8", "c8"], event_timestamp: [at(2), at(1)] },
    };
    const again = { ...body, df: { ...body.df, payment_id: ["t3", "t4"] } };
    await api.request("POST", "/push", body, { "idempotency-key": "k" });
    await api.request("POST", "/push", again, { "idempotency-key": "k" });
    expect(await spend("c8")).toBe(3);
  });

  it.each([
    ["an unknown source", { push_source_name: "nope" }, 404, "PushSourceNotFoundException"],
    ["an unknown destination", { to: "both" }, 400, "FeastError"],
    ["times in milliseconds", { df: { ...df, event_timestamp: [NOW, NOW] } }, 400, "FeastError"],
    ["rows without a time", { df }, 422, "FeastError"],
  ])("refuses %s", async (_what, asked, status, name) => {
    const body = { push_source_name: "payments", df: { ...df, event_timestamp: [at(1), at(1)] }, ...asked };
    const answer = await api.request("POST", "/push", body);
    expect([answer.status, problem(answer.text).class]).toEqual([status, name]);
  });
});

describe("POST /write-to-online-store", () => {
  const row = { account: ["77"], payment_id: ["w1"], card_id: ["c9"], amount: [1] };
  const write = (df: object, view = "account_activity") =>
    api.request("POST", "/write-to-online-store", { feature_view_name: view, df: { ...row, ...df } });

  it("makes events of rows of keys and features", async () => {
    const { status, text } = await write({ last_account: [77], event_timestamp: [at(3)], created: [null] });
    expect([status, text]).toEqual([400, expect.stringContaining("column 'account'")]);
    const written = await write({ account: [77], last_account: [77], n: [null], event_timestamp: [at(3)] });
    expect([written.status, written.text]).toEqual([200, "null"]);
    const { body } = await read({ features: ["account_activity:last_account"], entities: { account: [77] } });
    expect(body.results[1]).toEqual({ values: [77], statuses: ["PRESENT"], event_timestamps: [at(3)] });
  });

  it("makes an id of the row where it has none, so that a write that is sent again adds nothing", async () => {
    const { payment_id: _none, ...rest } = row;
    for (let i = 0; i < 2; i++) {
      const df = { ...rest, card_id: ["c10"], last_at: [at(4)], event_timestamp: [at(4)] };
      const body = { feature_view_name: "card_activity", df };
      expect((await api.request("POST", "/write-to-online-store", body)).status).toBe(200);
    }
    const { body } = await read({ features: ["card_activity:n"], entities: { card_id: ["c10"] } });
    expect(body.results[1].values).toEqual([1]);
  });

  it("refuses a computed feature, naming the source to push to", async () => {
    const answer = await write({ account: [77], n: [3], event_timestamp: [at(2)] });
    expect(answer.status).toBe(422);
    expect(problem(answer.text)).toMatchObject({ class: "FeastError", code: "FEATURE_COMPUTED" });
    expect(problem(answer.text).message).toContain("source 'payments'");
  });

  it("refuses an unknown view", async () => {
    const answer = await write({}, "nope");
    expect([answer.status, problem(answer.text).class]).toEqual([404, "FeatureViewNotFoundException"]);
  });
});

describe("the rest of Feast's routes", () => {
  it("answers /health by readiness, without a body", async () => {
    expect((await api.request("GET", "/health")).status).toBe(200);
    api.state.ready = false;
    expect((await api.request("GET", "/health")).status).toBe(503);
    api.state.ready = true;
  });

  it.each(["/search", "/retrieve-online-documents", "/materialize", "/materialize-incremental"])(
    "says what to do instead of %s",
    async (url) => {
      const answer = await api.request("POST", url, {});
      expect([answer.status, problem(answer.text).code]).toEqual([501, "NOT_SUPPORTED"]);
    },
  );
});
