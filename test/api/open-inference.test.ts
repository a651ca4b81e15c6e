import { join } from "node:path";
import { deflateSync, gunzipSync, gzipSync, inflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeModel } from "./models/write-model.ts";
import { ADMIN, type Answered, openTestApi, payment, type TestApi } from "./open-api.ts";
import { NOW, RISK_COLUMNS } from "./payments.ts";

const INFER = "/v2/models/risk/infer";
let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ maxRows: 2_000 });
  await writeModel(join(api.folder, "risk", "3"), { answer: 0.25, above: 0.75, features: RISK_COLUMNS });
  await api.models.refresh();
  await api.push([payment("p1", 60), payment("p2", 30, { amount: 2.5 })]);
});
afterAll(() => api.close());

/** n below 0 is 0.25, else 0.75. */
const ROWS = [
  [-1, 2, 3],
  [1, 2, 3],
  [Number.NaN, 0, 0],
];
const table = (more: object = {}): object => ({
  name: "input-0",
  shape: [2, 3],
  datatype: "FP32",
  data: [-1, 2, 3, 1, 2, 3],
  ...more,
});
const infer = (body: object): Promise<Answered> => api.request("POST", INFER, body);

async function binary(header: object, parts: readonly Buffer[], headers: Record<string, string> = {}) {
  const json = Buffer.from(JSON.stringify(header));
  let payload = Buffer.concat([json, ...parts]);
  if (headers["content-encoding"] === "gzip") payload = gzipSync(payload);
  if (headers["content-encoding"] === "deflate") payload = deflateSync(payload);
  const answer = await api.server.inject({
    method: "POST",
    url: INFER,
    payload,
    headers: {
      "content-type": "application/octet-stream",
      "inference-header-content-length": String(json.length),
      ...headers,
    },
  });
  const length = Number(answer.headers["inference-header-content-length"] ?? 0);
  return { status: answer.statusCode, headers: answer.headers, length, bytes: answer.rawPayload };
}

describe("the Open Inference Protocol's metadata", () => {
  it("has the server, its health, the model, its readiness, and the index of models", async () => {
    const get = async (url: string): Promise<unknown> => (await api.request("GET", url)).body;
    expect(await get("/v2")).toMatchObject({ name: "millrace", version: "1.2.3" });
    expect(await get("/v2/health/live")).toEqual({ live: true });
    expect(await get("/v2/health/ready")).toEqual({ ready: true });
    expect(await get("/v2/models/risk/ready")).toEqual({ name: "risk", ready: true });
    expect(await get("/v2/models/risk/versions/3")).toMatchObject({
      name: "risk",
      versions: ["3"],
      platform: "xgboost",
      inputs: RISK_COLUMNS.map((name) => ({ name, datatype: "FP64", shape: [-1, 1] })),
      outputs: [{ name: "probability", datatype: "FP64", shape: [-1, 1] }],
      parameters: {
        keys: [
          { name: "card_id", datatype: "BYTES" },
          { name: "amount", datatype: "FP64" },
        ],
      },
    });
    const index = await api.request("POST", "/v2/repository/index");
    expect(index.body).toEqual([
      { name: "risk", version: "3", state: "READY", reason: "" },
      { name: "scaled", version: "", state: "UNAVAILABLE", reason: expect.any(String) },
    ]);
    expect((await api.request("POST", "/v2/repository/index", { ready: true })).body).toHaveLength(1);
    expect((await api.request("GET", "/v2/models/scaled/ready")).status).toBe(503);
  });

  it("loads and unloads a model for an administrator", async () => {
    const ask = async (what: string, headers = ADMIN): Promise<number> =>
      (await api.request("POST", `/v2/repository/models/risk/${what}`, {}, headers)).status;
    expect(await ask("unload", {})).toBe(401);
    expect(await ask("unload")).toBe(200);
    expect((await infer({ inputs: [table()] })).status).toBe(503);
    expect((await api.request("GET", "/v2/models/risk/ready")).status).toBe(503);
    expect(await ask("load")).toBe(200);
    expect((await infer({ inputs: [table()] })).status).toBe(200);
  });

  it("says that it is not ready as the platform does", async () => {
    api.state.ready = false;
    const answer = await api.request("GET", "/v2/health/ready");
    api.state.ready = true;
    expect([answer.status, answer.body]).toEqual([503, { ready: false }]);
  });
});

describe("inference with rows that come whole", () => {
  const answer = [0.25, 0.75];

  it.each([
    ["one tensor of all columns", [table()]],
    [
      "nested data",
      [
        table({
          data: [
            [-1, 2, 3],
            [1, 2, 3],
          ],
        }),
      ],
    ],
    ["integers", [table({ datatype: "INT64" })]],
    [
      "a tensor per column",
      RISK_COLUMNS.map((name, c) => ({ name, shape: [2, 1], datatype: "FP64", data: [ROWS[0]![c], ROWS[1]![c]] })),
    ],
    [
      "a tensor per column, of other types and order",
      [
        { name: "amount", shape: [2], datatype: "FP32", data: [3, 3] },
        { name: "spend", shape: [2], datatype: "INT8", data: [2, 2] },
        { name: "n", shape: [2], datatype: "INT16", data: [-1, 1] },
      ],
    ],
    [
      "integers that a double does not hold",
      [
        {
          name: "n",
          shape: [2],
          datatype: "INT64",
          data: ["-9007199254740993", "9007199254740993"].map((digits) => digits),
        },
        { name: "spend", shape: [2], datatype: "FP64", data: [2, 2] },
        { name: "amount", shape: [2], datatype: "FP64", data: [3, 3] },
      ],
    ],
  ])("answers %s", async (_what, inputs) => {
    // JSON.stringify writes no integer with all digits: they are texts until here.
    const body = JSON.stringify({ id: "call-1", inputs }).replace(/"(-?9007\d+)"/g, "$1");
    const { status, headers, body: answered } = await api.request("POST", INFER, body);
    expect([status, headers["content-type"]]).toEqual([200, "application/json"]);
    expect(answered).toEqual({
      model_name: "risk",
      model_version: "3",
      id: "call-1",
      outputs: [{ name: "probability", datatype: "FP64", shape: [2, 1], data: answer }],
    });
  });

  it("takes null and NaN as missing", async () => {
    const inputs = [table({ shape: [1, 3], data: [null, 0, 0] })];
    const json = await infer({ inputs });
    const data = Buffer.from(Float32Array.of(Number.NaN, 0, 0).buffer);
    const request = {
      inputs: [{ ...table({ shape: [1, 3] }), data: undefined, parameters: { binary_data_size: 12 } }],
    };
    const bytes = await binary(request, [data]);
    // default_left is 0 in the model's file: missing goes right.
    expect(json.body.outputs[0].data).toEqual([0.75]);
    expect(JSON.parse(bytes.bytes.toString()).outputs[0].data).toEqual([0.75]);
  });

  it.each(["FP32", "FP64", "FP16", "INT8", "INT16", "INT32", "INT64"] as const)(
    "reads binary tensors of %s and answers in binary",
    async (datatype) => {
      const values = [-1, 2, 3, 1, 2, 3];
      const arrays = {
        FP32: Float32Array.from(values),
        FP64: Float64Array.from(values),
        FP16: Uint16Array.of(0xbc00, 0x4000, 0x4200, 0x3c00, 0x4000, 0x4200),
        INT8: Int8Array.from(values),
        INT16: Int16Array.from(values),
        INT32: Int32Array.from(values),
        INT64: BigInt64Array.from(values.map(BigInt)),
      };
      const data = Buffer.from(arrays[datatype].buffer);
      const request = {
        parameters: { binary_data_output: true },
        inputs: [{ name: "x", shape: [2, 3], datatype, parameters: { binary_data_size: data.length } }],
      };
      const { status, headers, length, bytes } = await binary(request, [data]);
      expect([status, headers["content-type"]]).toEqual([200, "application/octet-stream"]);
      expect(JSON.parse(bytes.toString("utf8", 0, length)).outputs).toEqual([
        { name: "probability", datatype: "FP64", shape: [2, 1], parameters: { binary_data_size: 16 } },
      ]);
      expect([bytes.readDoubleLE(length), bytes.readDoubleLE(length + 8)]).toEqual(answer);
    },
  );

  it.each(["gzip", "deflate"] as const)("reads and writes %s", async (encoding) => {
    const count = 1_000;
    const data = Buffer.from(Float32Array.from({ length: count * 3 }, (_, i) => (i % 2 === 0 ? i : -i)).buffer);
    const request = {
      inputs: [{ name: "x", shape: [count, 3], datatype: "FP32", parameters: { binary_data_size: data.length } }],
    };
    const plain = await binary(request, [data]);
    const packed = await binary(request, [data], { "content-encoding": encoding, "accept-encoding": encoding });
    expect(packed.headers["content-encoding"]).toBe(encoding);
    expect((encoding === "gzip" ? gunzipSync : inflateSync)(packed.bytes)).toEqual(plain.bytes);
    const unasked = await binary(request, [data], { "accept-encoding": `identity, ${encoding};q=0` });
    expect(unasked.headers["content-encoding"]).toBeUndefined();
  });

  it("answers each output in the form that it is asked for", async () => {
    const { status, body } = await infer({ inputs: [table()], outputs: [{ name: "probability" }] });
    expect([status, body.outputs[0].data]).toEqual([200, answer]);
    const asked = [{ name: "probability", parameters: { binary_data: true } }];
    const bytes = (await infer({ inputs: [table()], outputs: asked })).bytes;
    expect(bytes.readDoubleLE(bytes.length - 8)).toBe(0.75);
  });

  it("names the codecs where the request does", async () => {
    const { body } = await infer({
      parameters: { content_type: "pd" },
      inputs: [table({ parameters: { content_type: "np" } })],
    });
    expect(body.parameters).toEqual({ content_type: "pd" });
    expect(body.outputs[0].parameters).toEqual({ content_type: "np" });
  });
});

describe("inference with entity keys", () => {
  const card = { name: "card_id", shape: [2], datatype: "BYTES", data: ["c1", "nobody"] };
  const amount = { name: "amount", shape: [2, 1], datatype: "FP32", data: [1, 2] };

  it("looks the features up", async () => {
    const { status, body } = await infer({ inputs: [card, amount] });
    expect([status, body.outputs[0].data]).toEqual([200, [0.75, 0.75]]);
    expect(body.parameters).toEqual({ as_of: new Date(NOW).toISOString() });
  });

  it("reads binary texts, and base64", async () => {
    const bytes = Buffer.from("\x02\0\0\0c1\x06\0\0\0nobody", "latin1");
    const request = {
      inputs: [{ ...card, data: undefined, parameters: { binary_data_size: bytes.length } }, amount],
    };
    expect((await binary(request, [bytes])).status).toBe(200);
    const base64 = { ...card, data: ["YzE=", "eA=="], parameters: { content_type: "base64" } };
    expect((await infer({ inputs: [base64, amount] })).status).toBe(200);
  });

  it("reads at as_of, and refuses an exact read that later events spoil", async () => {
    const as_of = new Date(NOW - 45_000).toISOString();
    const { body } = await infer({ parameters: { as_of }, inputs: [card, amount] });
    expect(body.parameters).toEqual({ as_of, head_overlap: [true, false] });
    const exact = await infer({ parameters: { as_of, exact: true }, inputs: [card, amount] });
    expect([exact.status, exact.body.code]).toEqual([409, "AS_OF_TOO_EARLY"]);
  });

  it("says which row a bad key is in", async () => {
    const { status, body } = await infer({
      inputs: [{ ...card, shape: [2], datatype: "INT32", data: [1, 2] }, amount],
    });
    expect(status).toBe(400);
    expect(body.error).toContain("rows[0].card_id");
  });
});

describe("requests that cannot be answered", () => {
  const one = { shape: [1], datatype: "FP64", data: [1] };
  it.each([
    ["no JSON", "{", 400, "BODY_MALFORMED"],
    ["no inputs", {}, 400, "REQUEST_INVALID"],
    ["an empty list of inputs", { inputs: [] }, 400, "REQUEST_INVALID"],
    ["a shape of other columns", { inputs: [table({ shape: [3, 2] })] }, 400, "REQUEST_INVALID"],
    ["too few elements", { inputs: [table({ data: [1] })] }, 400, "REQUEST_INVALID"],
    ["a negative size", { inputs: [table({ shape: [-2, -3] })] }, 400, "REQUEST_INVALID"],
    ["a size of no rows", { inputs: [table({ shape: [0, 3], data: [] })] }, 400, "REQUEST_INVALID"],
    ["a text among numbers", { inputs: [table({ data: [1, 2, 3, "4", 5, 6] })] }, 400, "REQUEST_INVALID"],
    [
      "a fraction among integers",
      { inputs: [table({ datatype: "INT32", data: [1, 2, 3, 4.5, 5, 6] })] },
      400,
      "REQUEST_INVALID",
    ],
    [
      "an integer out of range",
      { inputs: [table({ datatype: "UINT8", data: [1, 2, 3, 256, 5, 6] })] },
      400,
      "REQUEST_INVALID",
    ],
    ["an unknown datatype", { inputs: [table({ datatype: "FP128" })] }, 400, "REQUEST_INVALID"],
    [
      "two tensors of one name",
      {
        inputs: [
          { name: "n", ...one },
          { name: "n", ...one },
        ],
      },
      400,
      "REQUEST_INVALID",
    ],
    [
      "some of the columns",
      {
        inputs: [
          { name: "n", ...one },
          { name: "spend", ...one },
        ],
      },
      400,
      "ROWS_INCOMPLETE",
    ],
    [
      "an unknown column",
      {
        inputs: [
          { name: "n", ...one },
          { name: "x", ...one },
        ],
      },
      400,
      "REQUEST_INVALID",
    ],
    [
      "columns of different lengths",
      {
        inputs: [
          { name: "n", ...one },
          { name: "spend", ...one, shape: [2], data: [1, 2] },
        ],
      },
      400,
      "REQUEST_INVALID",
    ],
    ["an unknown output", { inputs: [table()], outputs: [{ name: "x" }] }, 400, "REQUEST_INVALID"],
    [
      "a classification",
      { inputs: [table()], outputs: [{ name: "probability", parameters: { classification: 2 } }] },
      501,
      "NOT_SUPPORTED",
    ],
    [
      "a codec that is not known",
      { parameters: { content_type: "hg_json" }, inputs: [table()] },
      400,
      "REQUEST_INVALID",
    ],
    [
      "binary data without the header",
      { inputs: [table({ data: undefined, parameters: { binary_data_size: 24 } })] },
      400,
      "REQUEST_INVALID",
    ],
    [
      "too many rows",
      { inputs: [table({ shape: [2_001, 3], datatype: "INT8", data: new Array(6_003).fill(1) })] },
      413,
      "TOO_MANY_ROWS",
    ],
    ["shared memory", { inputs: [table({ parameters: { shared_memory_region: "r" } })] }, 501, "NOT_SUPPORTED"],
  ] as const)("are refused with an error in the protocol's form: %s", async (_what, request, status, code) => {
    const answer = await api.request("POST", INFER, request);
    expect(answer.body).toEqual({ error: expect.any(String), code });
    expect([answer.status, answer.headers["content-type"]]).toEqual([status, "application/json"]);
  });

  it("are those of unknown models and versions", async () => {
    expect((await api.request("POST", "/v2/models/nope/infer", { inputs: [table()] })).status).toBe(404);
    const other = await api.request("POST", "/v2/models/risk/versions/2/infer", { inputs: [table()] });
    expect([other.status, other.body.code]).toEqual([404, "MODEL_VERSION_UNKNOWN"]);
    const scaled = await api.request("POST", "/v2/models/scaled/infer", { inputs: [table({ shape: [3, 2] })] });
    expect(scaled.status).toBe(503);
  });

  it("are those whose binary sizes do not add up, or whose compression is a lie", async () => {
    const header = (size: number): object => ({
      inputs: [{ name: "x", shape: [2, 3], datatype: "FP32", parameters: { binary_data_size: size } }],
    });
    for (const [size, bytes] of [
      [24, 25],
      [24, 20],
      [20, 20],
    ] as const) {
      expect((await binary(header(size), [Buffer.alloc(bytes)])).status).toBe(400);
    }
    const lie = await api.request("POST", INFER, { inputs: [table()] }, { "content-encoding": "gzip" });
    expect(lie.body.code).toBe("BODY_MALFORMED");
    const brotli = await api.request("POST", INFER, { inputs: [table()] }, { "content-encoding": "br" });
    expect(brotli.status).toBe(415);
    const longer = await api.request(
      "POST",
      INFER,
      { inputs: [table()] },
      { "inference-header-content-length": "99999" },
    );
    expect(longer.status).toBe(400);
  });

  it("are those whose deadline is no number, or passed", async () => {
    const odd = await api.request("POST", INFER, { inputs: [table()] }, { "x-request-timeout-ms": "soon" });
    expect([odd.status, odd.body]).toEqual([400, { error: expect.any(String), code: "REQUEST_INVALID" }]);
    const predict = api.models.predictWhole("risk", { kind: "rows", count: 1, rows: [[1, 2, 3]] }, { deadline: 0 });
    await expect(predict).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  });

  it("are those that are too large once decompressed", async () => {
    const payload = gzipSync(Buffer.alloc(1_000_000, " "));
    const answer = await api.server.inject({
      method: "POST",
      url: INFER,
      payload,
      headers: { "content-encoding": "gzip" },
    });
    expect([answer.statusCode, answer.json().code]).toEqual([413, "BODY_TOO_LARGE"]);
  });
});
