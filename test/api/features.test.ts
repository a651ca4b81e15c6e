import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFrame } from "../../src/feature_store/offline/duckdb-frame.ts";
import { writeModel } from "./models/write-model.ts";
import { openTestApi, payment, type TestApi } from "./open-api.ts";
import { NOW } from "./payments.ts";

const BIG = "9223372036854775807";
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
  const { hash } = api.features.service("fitted_v1");
  await writeModel(join(api.folder, "scaled", "1"), {
    answer: 1,
    features: ["n", "amount"],
    millrace: {
      service: "fitted_v1",
      service_hash: hash,
      transforms: { "amount:0": { kind: "standardize", mean: 10, stddev: 4 } },
    },
  });
  await api.models.refresh();
  await api.push([payment("p1", 60), payment("p2", 30, { account: 7 })]);
  const exact = JSON.stringify([payment("p3", 20, { card_id: "c2" })]).replace('"account":1', `"account":${BIG}`);
  await api.pipeline.push("payments", exact);
  await api.pipeline.advanceTo(NOW);
});
afterAll(() => api.close());

describe("POST /v1/features/online", () => {
  it("answers column names, types, rows and statuses", async () => {
    const rows = [{ card_id: "c1", amount: 3 }];
    const { status, body } = await api.request("POST", "/v1/features/online", { service: "risk_v1", rows });
    expect(status).toBe(200);
    expect(body).toEqual({
      service: "risk_v1",
      as_of: new Date(NOW).toISOString(),
      columns: ["n", "spend", "amount"],
      types: ["float64", "float64", "float64"],
      rows: [[2, 20, 3]],
      statuses: [["PRESENT", "PRESENT", "PRESENT"]],
    });
  });

  it("takes and gives every digit of an int64, as a number up to 2^53 − 1 and else as text; timestamps as ISO 8601", async () => {
    const at = new Date(NOW - 20_000).toISOString();
    for (const account of [BIG, `"${BIG}"`]) {
      const text = `{"service":"typed_v1","rows":[{"account":${account},"card_id":"c2","asked":${NOW}}]}`;
      const { text: answer, body } = await api.request("POST", "/v1/features/online", text);
      expect(body.rows).toEqual([[1, BIG, at, new Date(NOW).toISOString()]]);
      expect(answer).toContain(`"${BIG}"`);
    }
    const small = { service: "typed_v1", rows: [{ account: 7, card_id: "c1", asked: null }] };
    expect((await api.request("POST", "/v1/features/online", small)).body.rows[0].slice(0, 2)).toEqual([1, 7]);
  });

  it("gives lists as lists, and null with its status where topK has more values than it counts", async () => {
    const countries = ["BE", "NL", "DE"];
    const at = new Date(NOW - 100_000).toISOString();
    await api.push(countries.map((country, i) => payment(`l${i}`, 100, { card_id: "c9", country, amount: 5 * i, at })));
    await api.push([payment("l3", 90, { card_id: "c8", country: "NL" })]);
    const rows = ["c8", "c9", "none"].map((card_id) => ({ card_id }));
    const online = await api.request("POST", "/v1/features/online", { service: "lists_v1", rows });
    const columns = ["median", "spread", "countries", "accounts", "times", "sizes", "first_at"];
    expect(online.body.columns).toEqual(columns);
    expect(online.body.types).toEqual(["float64", "list", "list", "list", "list", "list", "timestamp"]);
    const one = new Date(NOW - 90_000).toISOString();
    const expected = [
      [10, [10, 10], ["NL"], [1], [one], [0, 1, 0], one],
      [5.03125, [0, 10], null, [1], [at], [2, 1, 0], at],
      [null, null, [], [], [], [0, 0, 0], null],
    ];
    expect(online.body.rows).toEqual(expected);
    expect(online.body.statuses[1][2]).toBe("NULL_VALUE");

    const asked = rows.map((row) => ({ ...row, event_timestamp: NOW }));
    const past = await api.request("POST", "/v1/features/historical", { service: "lists_v1", rows: asked });
    expect(past.body.rows.map((row: unknown[]) => row.slice(2))).toEqual(expected);
    const folder = await mkdtemp(join(tmpdir(), "millrace-lists-"));
    try {
      for (const format of ["parquet", "csv"]) {
        const body = { service: "lists_v1", rows: asked, format };
        const { bytes } = await api.request("POST", "/v1/features/historical", body);
        await writeFile(join(folder, `set.${format}`), bytes);
      }
      const { rows: parquet } = await readFrame(join(folder, "set.parquet"));
      expect(
        parquet.map(({ median, spread, countries, accounts, sizes }) => [median, spread, countries, accounts, sizes]),
      ).toEqual(
        expected.map(([median, spread, countries, accounts, , sizes]) => [median, spread, countries, accounts, sizes]),
      );
      const { rows: csv } = await readFrame(join(folder, "set.csv"));
      expect(csv.map(({ spread, countries }) => [spread, countries])).toEqual([
        ["[10.0, 10.0]", "[NL]"],
        ["[0.0, 10.0]", null],
        [null, "[]"],
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("needs a model for a service with fitted transforms, and takes what that model's version learned", async () => {
    const body = { service: "fitted_v1", rows: [{ card_id: "c1", amount: 12 }] };
    const without = await api.request("POST", "/v1/features/online", body);
    expect([without.status, without.body.code]).toEqual([409, "NOT_FITTED"]);
    const read = await api.request("POST", "/v1/features/online", { ...body, model: "scaled" });
    expect(read.body.rows).toEqual([[2, 0.5]]);
  });

  it.each([
    ["an unknown service", { service: "nope", rows: [{}] }, 404, "SERVICE_UNKNOWN"],
    ["a service that is no text", { service: 3, rows: [{}] }, 400, "REQUEST_INVALID"],
    ["an unknown model", { service: "fitted_v1", rows: [{}], model: "nope" }, 404, "MODEL_UNKNOWN"],
    ["a model of another service", { service: "risk_v1", rows: [{}], model: "scaled" }, 400, "REQUEST_INVALID"],
    ["an unknown member", { service: "risk_v1", rows: [{}], row: {} }, 400, "REQUEST_INVALID"],
  ])("refuses %s", async (_what, body, status, code) => {
    const answer = await api.request("POST", "/v1/features/online", body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });
});

describe("POST /v1/features/historical", () => {
  const rows = [
    { card_id: "c1", amount: 1, event_timestamp: new Date(NOW - 45_000).toISOString(), label: true },
    { card_id: "c1", amount: 2, event_timestamp: NOW, label: false },
  ];

  it("answers the rows as they were at their time, what was carried along, and the manifest", async () => {
    const { status, body } = await api.request("POST", "/v1/features/historical", { service: "risk_v1", rows });
    expect(status).toBe(200);
    expect(body.columns).toEqual(["card_id", "lookup_amount", "event_timestamp", "label", "n", "spend", "amount"]);
    expect(body.rows).toEqual([
      ["c1", 1, new Date(NOW - 45_000).toISOString(), true, 1, 10, 1],
      ["c1", 2, new Date(NOW).toISOString(), false, 2, 20, 2],
    ]);
    expect(body.millrace).toMatchObject({ service: "risk_v1", features: ["n", "spend", "amount"], rows: 2 });
  });

  it("fits transforms on the rows, or takes what a model learned", async () => {
    const body = { service: "fitted_v1", rows };
    const own = await api.request("POST", "/v1/features/historical", body);
    expect(own.body.millrace.transforms).toEqual({ "amount:0": { kind: "standardize", mean: 1.5, stddev: 0.5 } });
    const given = await api.request("POST", "/v1/features/historical", { ...body, model: "scaled" });
    expect(given.body.rows.map((row: unknown[]) => row.at(-1))).toEqual([-2.25, -2]);
  });

  it.each(["parquet", "csv"] as const)("answers a %s file, with the manifest in a header", async (format) => {
    const answer = await api.request("POST", "/v1/features/historical", { service: "risk_v1", rows, format });
    expect(answer.status).toBe(200);
    expect(answer.headers["content-disposition"]).toBe(`attachment; filename="risk_v1.${format}"`);
    const manifest = JSON.parse(Buffer.from(String(answer.headers["millrace-manifest"]), "base64url").toString());
    expect(manifest).toMatchObject({ service: "risk_v1", knowledge: "event_time", rows: 2 });
    const folder = await mkdtemp(join(tmpdir(), "millrace-historical-"));
    try {
      const path = join(folder, `set.${format}`);
      await writeFile(path, answer.bytes);
      const frame = await readFrame(path);
      expect(frame.rows.map((row) => [Number(row.n), row.spend])).toEqual([
        [1, 10],
        [2, 20],
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("says where a manifest is that is too long for a header", async () => {
    const manifest = {
      service: "x".repeat(40_000),
      service_hash: "",
      transforms: {},
      features: [],
      keys: [],
      knowledge: "event_time",
      rows: 0,
    } as const;
    const other = await openTestApi({
      backend: { trainingSet: async () => ({ bytes: new Uint8Array([1]), columns: [], rows: null, manifest }) },
    });
    const body = { service: "risk_v1", rows, format: "csv" };
    const { headers } = await other.request("POST", "/v1/features/historical", body);
    expect(headers["millrace-manifest"]).toBeUndefined();
    const fetched = await other.request("GET", String(headers["millrace-manifest-location"]));
    expect(fetched.body).toEqual(manifest);
    const gone = await other.request("GET", "/v1/manifests/none");
    expect([gone.status, gone.body.code]).toEqual([404, "MANIFEST_UNKNOWN"]);
    await other.close();
  });

  it.each([
    ["an unknown service", { service: "nope", rows }, 404, "SERVICE_UNKNOWN"],
    ["a row without its time", { service: "risk_v1", rows: [{ card_id: "c" }] }, 400, "EVENT_TIMESTAMP_MISSING"],
    ["an unknown format", { service: "risk_v1", rows, format: "xlsx" }, 400, "REQUEST_INVALID"],
    ["an unknown knowledge", { service: "risk_v1", rows, knowledge: "all" }, 400, "REQUEST_INVALID"],
    ["an object as a value", { service: "risk_v1", rows: [{ ...rows[0], x: {} }] }, 400, "REQUEST_INVALID"],
    ["a lookup that is missing", { service: "risk_v1", rows: [{ event_timestamp: 1 }] }, 400, "LOOKUP_COLUMN_MISSING"],
  ])("refuses %s", async (_what, body, status, code) => {
    const answer = await api.request("POST", "/v1/features/historical", body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });
});

describe("the catalog", () => {
  it("lists services, views and sources, and describes one", async () => {
    const { services } = (await api.request("GET", "/v1/features/services")).body;
    expect(services.map((service: { name: string }) => service.name)).toEqual([
      "fitted_v1",
      "lists_v1",
      "risk_v1",
      "typed_v1",
    ]);
    const one = (await api.request("GET", "/v1/features/services/risk_v1")).body;
    expect(one).toEqual(services[2]);
    expect(one.lookup).toEqual([
      { name: "card_id", role: "key", type: "string", nullable: false },
      { name: "amount", role: "request", type: "float64", nullable: false },
    ]);
    const view = (await api.request("GET", "/v1/features/views/card_activity")).body;
    expect(view).toMatchObject({ source: "payments", entity: "card" });
    expect(view.features[0]).toMatchObject({ name: "n", aggregation: "count", window_seconds: 3_600 });
    expect((await api.request("GET", "/v1/features/views")).body.views).toHaveLength(3);
    expect((await api.request("GET", "/v1/sources")).body.sources[0]).toMatchObject({
      name: "payments",
      connector: "http_push",
      event_time: "at",
      id: "payment_id",
    });
  });

  it("answers 404 for what is not declared", async () => {
    const service = await api.request("GET", "/v1/features/services/nope");
    expect([service.status, service.body.code]).toEqual([404, "SERVICE_UNKNOWN"]);
    const view = await api.request("GET", "/v1/features/views/nope");
    expect([view.status, view.body.code]).toEqual([404, "VIEW_UNKNOWN"]);
  });
});
