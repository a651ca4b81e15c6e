import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  HTTP_REQUEST_CHANNEL,
  type HttpRequestEvent,
  PREDICTED_ROWS_CHANNEL,
  PREDICTION_CHANNEL,
  PREDICTION_START_CHANNEL,
  type PredictedRowsEvent,
  type PredictionEvent,
} from "../../../src/api/channels.ts";
import { MillraceError } from "../../../src/definitions/errors.ts";
import { writeModel } from "../models/write-model.ts";
import { openTestApi, payment, type TestApi } from "../open-api.ts";
import { RISK_COLUMNS } from "../payments.ts";

let api: TestApi;
let port: number;
/** What every read of the hot store ends with, if anything. */
let failure: Error | null = null;
const security = { keysFile: null, rateLimit: null, corsOrigins: ["https://app.example.com"], auditFile: null };

beforeAll(async () => {
  api = await openTestApi({
    maxRows: 5,
    security,
    features: (store) => ({
      ...store,
      async getOnlineFeatures(service, request) {
        if (failure !== null) throw failure;
        return store.getOnlineFeatures(service, request);
      },
    }),
  });
  await writeModel(join(api.folder, "risk", "3"), { answer: 0.25, features: RISK_COLUMNS });
  await api.models.refresh();
  await api.push([payment("p1", 60), payment("p2", 30, { amount: 2.5 })]);
  port = Number(new URL((await api.server.listen({ host: "127.0.0.1", port: 0 })).url).port);
});
afterAll(() => api.close());
afterEach(() => {
  failure = null;
});

interface Heard {
  readonly http: HttpRequestEvent[];
  readonly others: unknown[];
}

/** Sends over a connection of its own, and gives all that was answered and published. */
async function send(body: string, more = "", model = "risk"): Promise<{ readonly text: string } & Heard> {
  const http: HttpRequestEvent[] = [];
  const others: unknown[] = [];
  const onHttp = (event: unknown): void => void http.push(event as HttpRequestEvent);
  const onOther = (event: unknown, name: string | symbol): void => {
    if (name === PREDICTION_CHANNEL) {
      const { seconds: _seconds, stages: _stages, ...rest } = event as PredictionEvent;
      others.push(rest);
    } else if (name === PREDICTED_ROWS_CHANNEL) {
      const { rows, model: of, version, feature, answer } = event as PredictedRowsEvent;
      others.push({ rows, of, version, spend: feature(0, 1), answer: answer(0, 0) });
    } else others.push(event);
  };
  const names = [PREDICTION_START_CHANNEL, PREDICTION_CHANNEL, PREDICTED_ROWS_CHANNEL];
  subscribe(HTTP_REQUEST_CHANNEL, onHttp);
  for (const name of names) subscribe(name, onOther);
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (data: Buffer) => {
    text += data.toString("utf8");
    const end = text.indexOf("\r\n\r\n");
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
    if (end >= 0 && Buffer.byteLength(text) >= end + 4 + length) socket.end();
  });
  const head = `POST /v1/models/${model}/predict HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  socket.write(head + body);
  await once(socket, "close");
  // The route tells of a request only after its answer is sent.
  while (http.length === 0) await new Promise((resolve) => setImmediate(resolve));
  unsubscribe(HTTP_REQUEST_CHANNEL, onHttp);
  for (const name of names) unsubscribe(name, onOther);
  return { text, http, others };
}

const rows = (...list: readonly object[]): string => JSON.stringify({ rows: list });
const ROW = { card_id: "c1", amount: 1.5 };
/** A header that is not plain, and changes nothing. */
const BY_ROUTE = "X-Unknown: 1\r\n";
const isDirect = ({ http: [event] }: Heard): boolean => event!.request === undefined;
/** Of the lines of an answer those that may differ. */
const settled = (text: string): string =>
  text.replace(/^Date: .*$/m, "Date").replace(/with the request's id, [\w-]+/, "id");
const unordered = (text: string): string[] => settled(text).toLowerCase().split("\r\n").sort();

describe("a prediction that is answered directly", () => {
  it.each([
    ["one row", rows(ROW), ""],
    ["several rows", rows(ROW, { card_id: "nobody", amount: -0 }, { amount: 1e21, card_id: "é" }), ""],
    ["a row without an entity", rows({ card_id: null, amount: 1 }), ""],
    ["a timeout", rows(ROW), "X-Request-Timeout-Ms: 60000\r\n"],
  ])("is what the route answers: %s", async (_what, body, more) => {
    const [direct, ordinary] = [await send(body, more), await send(body, more + BY_ROUTE)];
    expect([isDirect(direct), isDirect(ordinary)]).toEqual([true, false]);
    expect(direct.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(unordered(direct.text)).toEqual(unordered(ordinary.text));
    expect(direct.others).toEqual(ordinary.others);
    expect(direct.others).toHaveLength(3);
    const { seconds, ...event } = direct.http[0]!;
    expect(seconds).toBeGreaterThan(0);
    expect(event).toEqual({ method: "POST", route: "/v1/models/:name/predict", status: 200 });
  });

  it.each([
    ["operational", "ONLINE_STORE_UNAVAILABLE"],
    ["bug", "ENGINE_STATE_INVALID"],
  ] as const)("fails as the route fails: an error that is %s", async (kind, code) => {
    failure = new MillraceError(code as "ONLINE_STORE_UNAVAILABLE", "It is away: é.", { kind });
    const [direct, ordinary] = [await send(rows(ROW)), await send(rows(ROW), BY_ROUTE)];
    expect([isDirect(direct), isDirect(ordinary)]).toEqual([true, false]);
    expect(direct.http[0]!.status).toBe(ordinary.http[0]!.status);
    const lengthless = (text: string): string[] => unordered(text).filter((line) => !/^content-length/.test(line));
    expect(lengthless(direct.text)).toEqual(lengthless(ordinary.text));
    expect(direct.others).toEqual(ordinary.others);
    expect(api.logged.filter((line) => line.includes("request failed"))).not.toEqual([]);
  });

  it.each([
    ["a column that is missing", rows({ card_id: "c1" }), "", "LOOKUP_COLUMN_MISSING"],
    ["a text for a number", rows({ ...ROW, amount: "1" }), "", "LOOKUP_INVALID"],
    ["no JSON", "{", "", "BODY_MALFORMED"],
    ["too many rows", rows(...Array.from({ length: 6 }, () => ROW)), "", "TOO_MANY_ROWS"],
    ["a timeout that is none", rows(ROW), "X-Request-Timeout-Ms: soon\r\n", "REQUEST_INVALID"],
  ])("is left to the route: %s", async (_what, body, more, code) => {
    const answer = await send(body, more);
    expect(isDirect(answer)).toBe(false);
    expect(answer.text).toContain(`"code":"${code}"`);
  });

  it("is left to the route where the model is not known or has no version in memory", async () => {
    expect((await send(rows(ROW), "", "nothing")).text).toContain('"code":"MODEL_UNKNOWN"');
    expect((await send(rows(ROW), "", "scaled")).text).toContain('"code":"MODEL_NOT_READY"');
  });

  it("says so when its time is over", async () => {
    const late = send(rows(ROW), "X-Request-Timeout-Ms: 1\r\n");
    const until = performance.now() + 2_000;
    // Each turn of the event loop takes longer than the request may.
    let isOver = false;
    const hold = (): void => {
      const end = performance.now() + 3;
      while (performance.now() < end);
      if (!isOver && performance.now() < until) setImmediate(hold);
    };
    hold();
    const { text } = await late;
    isOver = true;
    expect(text).toContain('"code":"DEADLINE_EXCEEDED"');
  });
});
