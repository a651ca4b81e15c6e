import { AsyncLocalStorage } from "node:async_hooks";
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiKeys, apiKeys } from "../../../src/api/auth/api-keys.ts";
import {
  HTTP_REQUEST_CHANNEL,
  HTTP_START_CHANNEL,
  type HttpRequestEvent,
  type HttpStartEvent,
  PREDICTION_CHANNEL,
} from "../../../src/api/channels.ts";
import { featureService, model, modelFolder, requestSource, t } from "../../../src/definitions/index.ts";
import { writeModel } from "../models/write-model.ts";
import { ADMIN, openTestApi, payment, type TestApi, TOKEN } from "../open-api.ts";
import { RISK_COLUMNS } from "../payments.ts";

const ORIGIN = "https://app.example.com";
/** A header that is not plain, and changes nothing. */
const BY_ROUTE = "X-Unknown: 1\r\n";
const request = requestSource({ a: t.float64(), b: t.float64().nullable() });
const whole = featureService("whole_v1", { features: { b: request.b, a: request.a } });

let home: string;
let keys: ApiKeys;
let api: TestApi;
let port: number;
const texts: Record<string, string> = {};

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "millrace-direct-"));
  keys = apiKeys(join(home, "keys.json"));
  const make = async (name: string, scopes: readonly ("predict" | "read" | "admin")[], more = {}): Promise<void> => {
    texts[name] = (await keys.create({ name, scopes, expiresAt: null, ...more })).text;
  };
  await make("predict", ["predict"]);
  await make("admin", ["admin"]);
  await make("read", ["read"]);
  await make("slow", ["predict"], { rateLimit: 0.001 });
  await make("once", ["predict"], { rateLimit: 0.001 });
  await make("gone", ["predict"]);
  await keys.revoke((await keys.list()).find(({ name }) => name === "gone")!.id);
  api = await openTestApi({
    security: { keysFile: join(home, "keys.json"), rateLimit: null, corsOrigins: [ORIGIN], auditFile: null },
    more: (folder) => ({
      whole: model("whole", {
        inputs: whole,
        output: { probability: t.float64() },
        source: modelFolder(`${folder}/whole`),
      }),
    }),
  });
  await writeModel(join(api.folder, "risk", "3"), { answer: 0.25, features: RISK_COLUMNS });
  await writeModel(join(api.folder, "whole", "1"), { answer: 0.25, above: 0.5, features: ["a", "b"] });
  await api.models.refresh();
  await api.push([payment("p1", 60), payment("p2", 30, { amount: 2.5 })]);
  port = Number(new URL((await api.server.listen({ host: "127.0.0.1", port: 0 })).url).port);
});
afterAll(async () => {
  await api.close();
  await rm(home, { recursive: true, force: true });
});

interface Answer {
  readonly head: readonly string[];
  readonly body: Buffer;
  readonly http: HttpRequestEvent;
}

/** Sends over a connection of its own, in pieces of so many bytes. */
async function send(path: string, body: string | Buffer, headers: string, pieceBytes = Infinity): Promise<Answer> {
  const events: HttpRequestEvent[] = [];
  const hear = (event: unknown): void => void events.push(event as HttpRequestEvent);
  subscribe(HTTP_REQUEST_CHANNEL, hear);
  const socket = connect(port, "127.0.0.1");
  socket.setNoDelay(true);
  let bytes = Buffer.alloc(0);
  socket.on("data", (data: Buffer) => {
    bytes = Buffer.concat([bytes, data]);
    const end = bytes.indexOf("\r\n\r\n");
    const length = Number(/content-length: (\d+)/i.exec(bytes.toString("latin1", 0, end))?.[1]);
    if (end >= 0 && bytes.length >= end + 4 + length) socket.end();
  });
  const given = Buffer.from(body as string);
  const head = `POST ${path} HTTP/1.1\r\nHost: h\r\n${headers}Content-Length: ${given.length}\r\n\r\n`;
  const all = Buffer.concat([Buffer.from(head), given]);
  for (let at = 0; at < all.length; at += pieceBytes) {
    socket.write(all.subarray(at, at + pieceBytes));
    if (pieceBytes < all.length) await new Promise((resolve) => setImmediate(resolve));
  }
  await once(socket, "close");
  while (events.length === 0) await new Promise((resolve) => setImmediate(resolve));
  unsubscribe(HTTP_REQUEST_CHANNEL, hear);
  const end = bytes.indexOf("\r\n\r\n");
  const lines = bytes.toString("latin1", 0, end).replace(/^Date: .*$/m, "Date");
  return { head: lines.toLowerCase().split("\r\n").sort(), body: bytes.subarray(end + 4), http: events[0]! };
}

const isDirect = ({ http }: Answer): boolean => http.request === undefined;
const PREDICT = "/v1/models/risk/predict";
const INFER = "/v2/models/whole/infer";
const JSON_TYPE = "Content-Type: application/json\r\n";
const key = (name: string): string => `Authorization: Bearer ${texts[name]}\r\n`;
const ROW = { card_id: "c1", amount: 1.5 };
const rows = (...list: readonly object[]): string => JSON.stringify({ rows: list });
const numbers = (count: number): object[] =>
  Array.from({ length: count }, (_, i) => ({ a: Math.sin(i), b: i % 7 === 0 ? null : Math.fround(Math.cos(i)) }));
const tensors = (count: number, more: object = {}): string =>
  JSON.stringify({
    inputs: [
      {
        name: "x",
        shape: [count, 2],
        datatype: "FP64",
        data: Array.from({ length: 2 * count }, (_, i) => Math.sin(i) * 10 ** ((i % 9) - 4)),
      },
    ],
    ...more,
  });

/** By both ways, with equal answers. */
async function both(path: string, body: string | Buffer, headers: string, pieceBytes?: number): Promise<Answer> {
  const direct = await send(path, body, headers, pieceBytes);
  const ordinary = await send(path, body, headers + BY_ROUTE, pieceBytes);
  expect([isDirect(direct), isDirect(ordinary)]).toEqual([true, false]);
  expect(direct.head).toEqual(ordinary.head);
  expect(direct.body.toString("latin1")).toBe(ordinary.body.toString("latin1"));
  expect({ ...direct.http, seconds: 0 }).toEqual({ ...ordinary.http, request: undefined, seconds: 0 });
  return direct;
}

describe("with API keys, a body that is still to come", () => {
  interface Half {
    readonly socket: Socket;
    readonly rest: string;
    /** The next answer, whole. */
    answer(): Promise<string>;
  }
  /** Sends all of a request but the end of its body. */
  function half(path: string, body: string, headers: string): Half {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    let heard = (): void => {};
    socket.on("data", (data: Buffer) => {
      text += data.toString("latin1");
      heard();
    });
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: h\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body.slice(0, 20)}`,
    );
    return {
      socket,
      rest: body.slice(20),
      async answer() {
        for (;;) {
          const end = text.indexOf("\r\n\r\n");
          const whole = end + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1]);
          if (end >= 0 && text.length >= whole) {
            const found = text.slice(0, whole);
            text = text.slice(whole);
            return found;
          }
          await new Promise<void>((resolve) => {
            heard = resolve;
          });
        }
      },
    };
  }

  it.each([
    ["no key", PREDICT, () => "", 401],
    ["a key with another scope", PREDICT, () => key("read"), 403],
    ["no key, in the Open Inference Protocol", INFER, () => "", 401],
  ])("is not waited for where there is %s; the connection stays", async (_name, path, headers, status) => {
    const body = path === PREDICT ? rows(...numbers(3_000)) : tensors(3_000);
    const { socket, rest, answer } = half(path, body, JSON_TYPE + headers());
    const refused = await answer();
    const ordinary = await send(path, body, JSON_TYPE + headers() + BY_ROUTE);
    expect(refused.startsWith(`HTTP/1.1 ${status} `)).toBe(true);
    expect(refused.slice(refused.indexOf("\r\n\r\n") + 4)).toBe(ordinary.body.toString("latin1"));
    const good = rows(ROW);
    socket.write(`${rest}POST ${PREDICT} HTTP/1.1\r\nHost: h\r\n${JSON_TYPE}${key("predict")}`);
    socket.write(`Content-Length: ${good.length}\r\n\r\n${good}`);
    expect((await answer()).startsWith("HTTP/1.1 200 ")).toBe(true);
    socket.destroy();
  });

  it("counts once for the rate of its key, and is not waited for above it", async () => {
    const body = rows(ROW);
    const first = half(PREDICT, body, JSON_TYPE + key("once"));
    // Once a later one is answered, the first has been looked at.
    const later = half(PREDICT, body, JSON_TYPE);
    expect((await later.answer()).startsWith("HTTP/1.1 401 ")).toBe(true);
    first.socket.write(first.rest);
    expect((await first.answer()).startsWith("HTTP/1.1 200 ")).toBe(true);
    const second = half(PREDICT, body, JSON_TYPE + key("once"));
    expect((await second.answer()).startsWith("HTTP/1.1 429 ")).toBe(true);
    for (const { socket } of [first, later, second]) socket.destroy();
  });
});

describe("with API keys, what is answered directly is what the route answers", () => {
  it.each([
    ["a key", () => key("predict"), 200],
    ["a key in its own header", () => `X-API-Key: ${texts.predict}\r\n`, 200],
    ["a key with all scopes", () => key("admin"), 200],
    ["the server's token", () => `Authorization: bearer ${TOKEN}\r\n`, 200],
    ["an allowed origin", () => `${key("predict")}Origin: ${ORIGIN}\r\n`, 200],
    ["another origin", () => `${key("predict")}Origin: https://other.example.com\r\n`, 200],
    ["a refused key and an allowed origin", () => `Origin: ${ORIGIN}\r\n`, 401],
    ["no key", () => "", 401],
    ["a key that is none", () => "X-API-Key: x\r\n", 401],
    ["a wrong secret", () => `X-API-Key: ${texts.predict!.slice(0, -4)}AAAA\r\n`, 401],
    ["a revoked key", () => key("gone"), 401],
    ["a key without the scope", () => key("read"), 403],
  ])("%s", async (_what, headers, status) => {
    for (const [path, body] of [
      [PREDICT, rows(ROW)],
      [INFER, tensors(1)],
    ] as const) {
      const answer = await both(path, body, JSON_TYPE + headers());
      expect(answer.http.status).toBe(status);
      expect(answer.head).toContain("x-content-type-options: nosniff");
      expect(answer.head.some((line) => line.startsWith("access-control"))).toBe(headers().includes(ORIGIN));
    }
  });

  it("the rate of a key, which counts requests of both ways together, and none twice", async () => {
    // Not plain: begun directly, given to the route, and counted there alone.
    const spaced = await send(PREDICT, JSON.stringify({ rows: [ROW], exact: false }), JSON_TYPE + key("slow"));
    expect([isDirect(spaced), spaced.http.status]).toEqual([false, 200]);
    const refused = await both(PREDICT, rows(ROW), JSON_TYPE + key("slow"));
    expect(refused.http.status).toBe(429);
    expect(refused.head.some((line) => line.startsWith("retry-after:"))).toBe(true);
    expect((await both(INFER, tensors(1), key("slow"))).http.status).toBe(429);
  });
});

describe("the Open Inference Protocol is answered directly as by its route", () => {
  const binary = (count: number, jsonBytes?: number): readonly [Buffer, string] => {
    const data = Buffer.from(Float64Array.from({ length: 2 * count }, (_, i) => Math.sin(i)).buffer);
    const input = { name: "x", shape: [count, 2], datatype: "FP64", parameters: { binary_data_size: data.length } };
    const head = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }));
    return [Buffer.concat([head, data]), `Inference-Header-Content-Length: ${jsonBytes ?? head.length}\r\n`];
  };

  it.each([
    ["one row", () => [tensors(1), ""] as const, 200],
    ["an id and parameters", () => [tensors(2, { id: "é", parameters: { content_type: "pd" } }), ""] as const, 200],
    ["many rows", () => [tensors(800), ""] as const, 200],
    ["many rows, compressed", () => [tensors(800), "Accept-Encoding: gzip\r\n"] as const, 200],
    ["binary tensors", () => binary(300), 200],
    ["a wrong length of JSON", () => binary(3, 7), 400],
    ["a length that is none", () => [binary(3)[0], "Inference-Header-Content-Length: x\r\n"] as const, 400],
    ["no tensors", () => [JSON.stringify({ inputs: [] }), ""] as const, 400],
    ["no JSON", () => ["{", ""] as const, 400],
    ["another shape", () => [tensors(2).replace("[2,2]", "[4,1]"), ""] as const, 400],
  ])("%s", async (_what, make, status) => {
    const [body, headers] = make();
    const answer = await both(INFER, body, JSON_TYPE + headers + key("predict"));
    expect(answer.http).toMatchObject({ status, route: "/v2/models/:name/infer", method: "POST" });
    if (headers.includes("gzip"))
      expect(JSON.parse(gunzipSync(answer.body).toString()).outputs[0].data).toHaveLength(800);
  });

  it("with rows to be looked up, and of models that are not known", async () => {
    const inputs = [
      { name: "card_id", shape: [2], datatype: "BYTES", data: ["c1", "nobody"] },
      { name: "amount", shape: [2, 1], datatype: "FP64", data: [1, 2] },
    ];
    const risk = await both("/v2/models/risk/infer", JSON.stringify({ inputs }), key("predict"));
    expect(JSON.parse(risk.body.toString()).outputs[0].data).toEqual([0.25, 0.25]);
    expect((await both("/v2/models/nothing/infer", tensors(1), key("predict"))).http.status).toBe(404);
  });
});

describe("large bodies are answered directly as by the route", () => {
  const PATH = "/v1/models/whole/predict";
  const settled = (body: Buffer): unknown => ({ ...JSON.parse(body.toString()), as_of: null });

  it.each([
    ["numbers", numbers(900)],
    [
      "numbers with names in turn",
      numbers(900).map(({ a, b }: { a?: number; b?: number }, i) => (i % 2 ? { a, b } : { b, a })),
    ],
    ["a row that is wrong", [...numbers(900), { a: "x", b: 1 }]],
  ])("%s", async (_what, list) => {
    const headers = JSON_TYPE + key("predict");
    const direct = await send(PATH, rows(...list), headers, 20_000);
    const ordinary = await send(PATH, rows(...list), headers + BY_ROUTE, 20_000);
    expect(settled(direct.body)).toEqual(settled(ordinary.body));
    expect(direct.http.status).toBe(ordinary.http.status);
    expect(isDirect(direct)).toBe(ordinary.http.status === 200);
    if (ordinary.http.status !== 200) return;
    // And what few rows at once are answered, which take the ordinary reader and share their turn.
    const parts: unknown[] = [];
    for (let from = 0; from < list.length; from += 60) {
      const part = await send(PATH, rows(...list.slice(from, from + 60)), headers);
      parts.push(...(JSON.parse(part.body.toString()) as { predictions: unknown[] }).predictions);
    }
    expect((JSON.parse(direct.body.toString()) as { predictions: unknown[] }).predictions).toEqual(parts);
  });

  it("at once over several connections, each with its own numbers", async () => {
    const lists = Array.from({ length: 6 }, (_, i) => numbers(600 + 37 * i).map((row) => ({ ...row, a: i - 2.5 })));
    const answers = await Promise.all(
      lists.map((list) => send(PATH, rows(...list), JSON_TYPE + key("predict"), 9_000)),
    );
    for (const [i, { body }] of answers.entries()) {
      const found = (JSON.parse(body.toString()) as { predictions: { probability: number }[] }).predictions;
      expect(found).toEqual(lists[i]!.map(() => ({ probability: i - 2.5 >= 0 ? 0.5 : 0.25 })));
    }
  });
});

it.each([
  ["is logged", 1, 2],
  ["might have been logged", 1e-12, 0],
])("a prediction that %s is answered directly, by its id", async (_what, sampleRate, expected) => {
  const logging = await openTestApi({ sampleRate });
  try {
    await writeModel(join(logging.folder, "risk", "1"), { answer: 0.25, features: RISK_COLUMNS });
    await logging.models.refresh();
    const before = port;
    port = Number(new URL((await logging.server.listen({ host: "127.0.0.1", port: 0 })).url).port);
    const direct = await send(PREDICT, rows(ROW), JSON_TYPE);
    const ordinary = await send(PREDICT, rows(ROW), JSON_TYPE + BY_ROUTE);
    port = before;
    expect([isDirect(direct), isDirect(ordinary)]).toEqual([true, false]);
    const withoutId = ({ head }: Answer): string[] => head.map((line) => line.replace(/(prediction-id: ).{36}$/, "$1"));
    expect(withoutId(direct)).toEqual(withoutId(ordinary));
    expect(withoutId(direct)).toContain("millrace-prediction-id: ");
    await logging.predictionLog.flush();
    const { body } = await logging.request("GET", "/v1/predictions", undefined, ADMIN);
    expect(body.predictions).toHaveLength(expected);
  } finally {
    await logging.close();
  }
});

it("what is traced is answered directly, each request in its own context", async () => {
  const context = new AsyncLocalStorage<string>();
  const began: HttpStartEvent[] = [];
  const ended: HttpRequestEvent[] = [];
  const seen: string[] = [];
  const starts = channel(HTTP_START_CHANNEL);
  const onStart = (event: unknown): void => void began.push(event as HttpStartEvent);
  const onEnd = (event: unknown): void => void ended.push(event as HttpRequestEvent);
  const onPrediction = (): void => void seen.push(context.getStore() ?? "none");
  starts.bindStore(context, (event) => (event as HttpStartEvent).traceparent ?? "none");
  subscribe(HTTP_START_CHANNEL, onStart);
  subscribe(HTTP_REQUEST_CHANNEL, onEnd);
  subscribe(PREDICTION_CHANNEL, onPrediction);
  try {
    const parents = ["a", "b", "c"].map((id) => `00-${id.repeat(32)}-${id.repeat(16)}-01`);
    const more = (parent: string): string =>
      `${JSON_TYPE}${key("predict")}traceparent: ${parent}\r\ntracestate: k=v\r\n`;
    await Promise.all(parents.map((parent) => send(PREDICT, rows(ROW), more(parent))));
    expect(began.map(({ traceparent }) => traceparent).sort()).toEqual(parents);
    expect([...seen].sort()).toEqual(parents);
    expect(new Set(ended.map(({ request: of }) => of))).toEqual(new Set(began.map(({ request: of }) => of)));
    // The route's own object is Node's request.
    expect(began.every(({ request: of, tracestate }) => Object.keys(of).length === 0 && tracestate === "k=v")).toBe(
      true,
    );
    await send(INFER, tensors(1), more(parents[0]!));
    expect([began.at(-1)!.route, seen.at(-1)]).toEqual(["/v2/models/:name/infer", parents[0]]);
  } finally {
    starts.unbindStore(context);
    unsubscribe(HTTP_START_CHANNEL, onStart);
    unsubscribe(HTTP_REQUEST_CHANNEL, onEnd);
    unsubscribe(PREDICTION_CHANNEL, onPrediction);
  }
});
