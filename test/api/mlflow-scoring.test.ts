import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeModel } from "./models/write-model.ts";
import { type Answered, openTestApi, payment, type TestApi } from "./open-api.ts";
import { RISK_COLUMNS } from "./payments.ts";

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ maxRows: 5 });
  await writeModel(join(api.folder, "risk", "3"), { answer: 0.25, above: 0.75, features: RISK_COLUMNS });
  await api.models.refresh();
  await api.push([payment("p1", 60)]);
});
afterAll(() => api.close());

const columns = [...RISK_COLUMNS];
const data = [
  [-1, 2, 3],
  [1, 2, 3],
];
const records = data.map(([n, spend, amount]) => ({ n, spend, amount }));
const byColumn = { n: [-1, 1], spend: [2, 2], amount: [3, 3] };
const score = (body: unknown, headers: object = {}): Promise<Answered> =>
  api.request("POST", "/v1/models/risk/invocations", body, headers);
const csv = (text: string): Promise<Answered> => score(text, { "content-type": "text/csv" });

describe("MLflow's scoring protocol", () => {
  it.each([
    ["dataframe_split", { dataframe_split: { columns, data } }],
    ["dataframe_split with an index", { dataframe_split: { columns, data, index: [7, 8] } }],
    ["dataframe_records", { dataframe_records: records }],
    ["dataframe_records with more columns", { dataframe_records: records.map((row) => ({ ...row, more: 1 })) }],
    ["instances of records", { instances: records }],
    ["instances of columns", { instances: byColumn }],
    ["inputs of records", { inputs: records }],
    ["inputs of columns", { inputs: byColumn }],
    ["parameters that the model does not know", { inputs: records, params: { temperature: 1 } }],
    ["numbers as texts", { inputs: { n: ["-1", "1"], spend: ["2", "2.0"], amount: ["3e0", "3"] } }],
  ])("answers %s", async (_what, body) => {
    const answer = await score(body);
    expect([answer.status, answer.text]).toEqual([200, '{"predictions":[0.25,0.75]}']);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.headers["x-millrace-model-version"]).toBe("3");
  });

  it("answers CSV, with an index and in any order", async () => {
    expect((await csv("n,spend,amount\n-1,2,3\n1,2,3\n")).body).toEqual({ predictions: [0.25, 0.75] });
    expect((await csv(",amount,n,spend\n0,3,-1,2\n1,3,1,\n")).body).toEqual({ predictions: [0.25, 0.75] });
    expect((await csv("n,spend,amount\n")).body).toEqual({ predictions: [] });
  });

  it("takes NaN where Python writes it, and null, as missing", async () => {
    const text = '{"dataframe_records":[{"n":-1,"spend":NaN,"amount":3},{"n":1,"spend":null,"amount":3}]}';
    expect((await score(text)).body).toEqual({ predictions: [0.25, 0.75] });
  });

  it("answers one row that is an object, and none", async () => {
    expect((await score({ inputs: { n: -1, spend: 2, amount: 3 } })).body).toEqual({ predictions: [0.25] });
    expect((await score({ dataframe_split: { columns, data: [] } })).body).toEqual({ predictions: [] });
  });

  it("looks features up by entity keys", async () => {
    const rows = [{ card_id: "c1", amount: 1, note: "ignored" }];
    expect((await score({ dataframe_records: rows })).body).toEqual({ predictions: [0.75] });
    const unfit = await score({ dataframe_records: [{ card_id: 7, amount: 1 }] });
    expect([unfit.status, unfit.body.error_code]).toEqual([400, "LOOKUP_INVALID"]);
    expect(unfit.body.message).toContain("rows[0].card_id");
  });

  it("reads gzip, and any spelling of UTF-8", async () => {
    const answer = await api.server.inject({
      method: "POST",
      url: "/v1/models/risk/invocations",
      payload: gzipSync(JSON.stringify({ inputs: records })),
      headers: { "content-type": "application/json; charset=UTF-8", "content-encoding": "gzip" },
    });
    expect(answer.json()).toEqual({ predictions: [0.25, 0.75] });
  });

  it.each([
    ["no JSON", "{", {}, 400, "BODY_MALFORMED"],
    ["a list", [records[0]], {}, 400, "REQUEST_INVALID"],
    ["no form", { rows: records }, {}, 400, "REQUEST_INVALID"],
    ["two forms", { inputs: records, instances: records }, {}, 400, "REQUEST_INVALID"],
    ["records that are an object", { dataframe_records: records[0] }, {}, 400, "REQUEST_INVALID"],
    ["records that are none", { dataframe_records: [] }, {}, 400, "ROWS_INCOMPLETE"],
    ["a split with another member", { dataframe_split: { columns, data, x: 1 } }, {}, 400, "REQUEST_INVALID"],
    ["a split without columns", { dataframe_split: { data } }, {}, 400, "REQUEST_INVALID"],
    ["a ragged split", { dataframe_split: { columns, data: [[1]] } }, {}, 400, "REQUEST_INVALID"],
    ["lists for named columns", { inputs: data }, {}, 400, "REQUEST_INVALID"],
    ["columns of different lengths", { inputs: { ...byColumn, n: [1] } }, {}, 400, "REQUEST_INVALID"],
    ["a missing column", { inputs: [{ n: 1, spend: 2 }] }, {}, 400, "ROWS_INCOMPLETE"],
    ["a text that is no number", { inputs: [{ n: 1, spend: "x", amount: 3 }] }, {}, 400, "REQUEST_INVALID"],
    ["too many rows", { inputs: new Array(6).fill(records[0]) }, {}, 413, "TOO_MANY_ROWS"],
    [
      "a form of the web",
      "a=1",
      { "content-type": "application/x-www-form-urlencoded" },
      415,
      "MEDIA_TYPE_UNSUPPORTED",
    ],
    ["another charset", "{}", { "content-type": "application/json; charset=latin-1" }, 415, "MEDIA_TYPE_UNSUPPORTED"],
    ["ragged CSV", "n,spend,amount\n1,2\n", { "content-type": "text/csv" }, 400, "BODY_MALFORMED"],
    ["CSV without a column", "n,spend\n1,2\n", { "content-type": "text/csv" }, 400, "ROWS_INCOMPLETE"],
    ["empty CSV", "", { "content-type": "text/csv" }, 400, "BODY_MALFORMED"],
  ])("refuses %s with an error in MLflow's form", async (_what, body, headers, status, code) => {
    const answer = await score(body, headers);
    expect(answer.body).toEqual({ error_code: code, message: expect.any(String) });
    expect(answer.status).toBe(status);
  });

  it("asks for a model's name where there are several, unless one is the default", async () => {
    const several = await api.request("POST", "/invocations", { inputs: records });
    expect([several.status, several.body.error_code]).toEqual([400, "MODEL_NOT_CHOSEN"]);
    const unknown = await api.request("POST", "/v1/models/nope/invocations", { inputs: records });
    expect([unknown.status, unknown.body.error_code]).toEqual([404, "MODEL_UNKNOWN"]);
  });

  it("answers /ping as it is ready, and /version", async () => {
    const ping = async (): Promise<unknown> => {
      const { statusCode, body } = await api.server.inject({ url: "/ping" });
      return [statusCode, body];
    };
    expect(await ping()).toEqual([200, "\n"]);
    api.state.ready = false;
    expect(await ping()).toEqual([503, "\n"]);
    api.state.ready = true;
    expect((await api.request("GET", "/version")).text).toBe("1.2.3");
  });
});
