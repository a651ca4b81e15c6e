import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { millraceError } from "../../src/definitions/errors.ts";
import { ADMIN, openTestApi, payment, type TestApi } from "./open-api.ts";
import { NOW } from "./payments.ts";

const LINES = { "content-type": "application/x-ndjson" };
const url = "/v1/sources/payments/events";

describe("POST /v1/sources/{name}/events", () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await openTestApi();
  });
  afterAll(() => api.close());

  const countOf = async (card_id: string): Promise<number> => {
    await api.pipeline.advanceTo(NOW);
    const body = { service: "risk_v1", rows: [{ card_id, amount: 0 }] };
    return (await api.request("POST", "/v1/features/online", body)).body.rows[0][0];
  };

  it("takes a list, an object of events, and lines of JSON", async () => {
    const events = ["a", "b"].map((id) => payment(id, 10, { card_id: "forms" }));
    const list = await api.request("POST", url, events);
    expect([list.status, list.body]).toEqual([202, { accepted: 2, rejected: [], duplicate: false }]);
    await api.request("POST", url, { events: [payment("c", 9, { card_id: "forms" })] });
    const lines = ["d", "e"].map((id) => JSON.stringify(payment(id, 8, { card_id: "forms" }))).join("\n");
    expect((await api.request("POST", url, `${lines}\n`, LINES)).body.accepted).toBe(2);
    expect(await countOf("forms")).toBe(5);
  });

  it("takes one message in the source's own format, once under its key, and says why it is none", async () => {
    const headers = { "content-type": "application/octet-stream", "idempotency-key": "a message" };
    const message = JSON.stringify(payment("m", 10, { card_id: "bytes" }));
    const sent = await api.request("POST", url, message, headers);
    expect([sent.status, sent.body]).toEqual([202, { accepted: 1, rejected: [], duplicate: false }]);
    expect((await api.request("POST", url, message, headers)).body.duplicate).toBe(true);
    expect(await countOf("bytes")).toBe(1);
    const { "content-type": type } = headers;
    const bad = await api.request("POST", url, "{ no message", { "content-type": type });
    expect([bad.status, bad.body.code, bad.body.rejected[0].code]).toEqual([422, "EVENTS_REJECTED", "DECODE_FAILED"]);
  });

  it("accepts the good events and says which were rejected, and why", async () => {
    const bad = [payment("f", 5, { card_id: "mixed" }), payment("g", 5, { amount: "ten" }), 3, { payment_id: "h" }];
    const { status, body } = await api.request("POST", url, bad);
    expect([status, body.accepted]).toEqual([202, 1]);
    expect(body.rejected.map(({ index, code }: { index: number; code: string }) => [index, code])).toEqual([
      [1, "INVALID_VALUE"],
      [2, "DECODE_FAILED"],
      [3, "INVALID_VALUE"],
    ]);
    expect(body.rejected[0].reason).toContain("amount");
    expect(await countOf("mixed")).toBe(1);
  });

  it("answers 422 if every event was rejected", async () => {
    const { status, body } = await api.request("POST", url, [{}, { amount: 1 }]);
    expect([status, body.code, body.accepted]).toEqual([422, "EVENTS_REJECTED", 0]);
    expect(body.rejected).toHaveLength(2);
  });

  it("applies a push once, however often it comes under one Idempotency-Key", async () => {
    const events = [payment("once", 5, { card_id: "once" })];
    const headers = { "idempotency-key": "k1" };
    const first = await api.request("POST", url, events, headers);
    const second = await api.request("POST", url, [payment("other", 5, { card_id: "once" })], headers);
    expect([first.body.duplicate, second.body.duplicate]).toEqual([false, true]);
    expect([second.status, second.body.accepted]).toEqual([202, 1]);
    expect(await countOf("once")).toBe(1);
  });

  it("keeps all digits of an int64, also within an object of events", async () => {
    const text = `{"events":[${JSON.stringify(payment("big", 3, { card_id: "big" })).replace('"account":1', '"account":9007199254740993')}]}`;
    expect((await api.request("POST", url, text)).status).toBe(202);
    await api.pipeline.advanceTo(NOW);
    const rows = [{ account: "9007199254740993", card_id: "big", asked: null }];
    const read = await api.request("POST", "/v1/features/online", { service: "typed_v1", rows });
    expect(read.body.rows[0].slice(0, 2)).toEqual([1, "9007199254740993"]);
  });

  it.each([
    ["an unknown source", "/v1/sources/nope/events", "[]", {}, 404, "SOURCE_UNKNOWN"],
    ["a list that is cut off", url, '[{"payment_id":', {}, 400, "DECODE_FAILED"],
    ["an object that is cut off", url, '{"events":[', {}, 400, "BODY_MALFORMED"],
    ["a single event as JSON", url, '{"payment_id":"x"}', {}, 400, "REQUEST_INVALID"],
    ["a text", url, '"hello"', {}, 400, "REQUEST_INVALID"],
    ["an empty body", url, "", {}, 400, "REQUEST_INVALID"],
    ["plain text", url, "[]", { "content-type": "text/plain" }, 415, "MEDIA_TYPE_UNSUPPORTED"],
    ["a key that is too long", url, "[]", { "idempotency-key": "k".repeat(300) }, 400, "REQUEST_INVALID"],
    ["a body that is too large", url, `[${" ".repeat(100_000)}]`, {}, 413, "BODY_TOO_LARGE"],
  ])("refuses %s", async (_what, to, body, headers, status, code) => {
    const answer = await api.request("POST", to, body, headers);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  it("passes back pressure on with Retry-After, and takes nothing", async () => {
    const full = millraceError("BACK_PRESSURE", "Too many events are waiting.", {
      kind: "operational",
      details: { retry_after_seconds: 2 },
    });
    const other = await openTestApi({ backend: { push: () => Promise.reject(full) } });
    const answer = await other.request("POST", url, [payment("z", 1)]);
    expect([answer.status, answer.body.code, answer.headers["retry-after"]]).toEqual([503, "BACK_PRESSURE", "2"]);
    await other.close();
  });
});

describe("the operation of sources", () => {
  const letter = { id: 4, source: "payments", partition: "0", offset: 9, code: "DECODE_FAILED", reason: "no", at: NOW };
  const letters = [
    { ...letter, bytes: new TextEncoder().encode("{bad") },
    { ...letter, id: 5, bytes: new Uint8Array([0xff, 0xfe]) },
  ] as const;
  const asked: unknown[] = [];
  let api: TestApi;
  beforeAll(async () => {
    api = await openTestApi({
      backend: {
        deadLetters: async (filter) => {
          asked.push(filter);
          return letters as never;
        },
        removeDeadLetters: async (ids) => void asked.push(ids),
        advanceTo: async (time) => void asked.push(time),
        release: async () => void asked.push("release"),
        resetSource: async (...what) => {
          asked.push(what);
          return [{ partition: "orders:0", before: 7, after: 3 }];
        },
      },
    });
  });
  afterAll(() => api.close());

  it("shows how ingestion goes", async () => {
    const { body } = await api.request("GET", "/v1/sources/status");
    expect(body.sources[0]).toMatchObject({ source: "payments", dead_letters: 0, last_event_time: null });
  });

  it("lists dead letters with what came, as bytes and as text where it is text", async () => {
    asked.length = 0;
    const { body } = await api.request("GET", "/v1/dead-letters?source=payments&limit=7", undefined, ADMIN);
    expect(asked).toEqual([{ source: "payments", limit: 7 }]);
    expect(body.dead_letters.map(({ id, text, bytes }: Record<string, unknown>) => [id, text, bytes])).toEqual([
      [4, "{bad", "e2JhZA=="],
      [5, null, "//4="],
    ]);
  });

  it("removes dead letters, advances and releases replays for administrators", async () => {
    asked.length = 0;
    expect((await api.request("DELETE", "/v1/dead-letters", { ids: [4, 5] }, ADMIN)).status).toBe(204);
    const to = new Date(NOW).toISOString();
    expect((await api.request("POST", "/v1/replay/advance", { to }, ADMIN)).body).toEqual({ to });
    expect((await api.request("POST", "/v1/replay/release", undefined, ADMIN)).status).toBe(200);
    expect(asked).toEqual([[4, 5], NOW, "release"]);
  });

  it("resets a source to an end, a moment, or offsets, and says what moves", async () => {
    asked.length = 0;
    const places = ["earliest", "latest", new Date(NOW).toISOString(), { "orders:0": 3 }];
    for (const to of places) {
      const { body } = await api.request("POST", "/v1/sources/payments/reset", { to, dry_run: true }, ADMIN);
      expect(body).toEqual({ partitions: [{ partition: "orders:0", before: 7, after: 3 }] });
    }
    expect(asked).toEqual(["earliest", "latest", NOW, { "orders:0": 3 }].map((to) => ["payments", to, true]));
    const unknown = await api.request("POST", "/v1/sources/nobody/reset", { to: "latest" }, ADMIN);
    expect([unknown.status, unknown.body.code]).toEqual([404, "SOURCE_UNKNOWN"]);
  });

  it.each([
    ["GET", "/v1/dead-letters", undefined],
    ["DELETE", "/v1/dead-letters", { ids: [4] }],
    ["POST", "/v1/replay/advance", { to: NOW }],
    ["POST", "/v1/replay/release", undefined],
    ["POST", "/v1/sources/payments/reset", { to: "earliest" }],
    ["POST", "/v1/models/risk/rollback", undefined],
    ["POST", "/v1/models/risk/pin", { version: "1" }],
    ["GET", "/v1/plan", undefined],
  ] as const)("lets only administrators %s %s", async (method, to, body) => {
    asked.length = 0;
    for (const headers of [{}, { authorization: "Bearer wrong" }, { authorization: "secret-token" }]) {
      const answer = await api.request(method, to, body, headers);
      expect([answer.status, answer.body.code]).toEqual([401, "UNAUTHORIZED"]);
      expect(answer.headers["www-authenticate"]).toContain("Bearer");
    }
    expect(asked).toEqual([]);
  });

  it("lets nobody administer where no token is configured", async () => {
    const closed = await openTestApi({ token: null });
    const answer = await closed.request("POST", "/v1/replay/release", undefined, { authorization: "Bearer " });
    expect([answer.status, answer.body.code]).toEqual([403, "ADMIN_DISABLED"]);
    await closed.close();
  });

  it.each([
    ["a limit that is no number", "GET", "/v1/dead-letters?limit=many", undefined, "limit"],
    ["an unknown query", "GET", "/v1/dead-letters?sources=x", undefined, "sources"],
    ["ids that are no list", "DELETE", "/v1/dead-letters", { ids: 3 }, "ids"],
    ["ids that are no numbers", "DELETE", "/v1/dead-letters", { ids: ["4"] }, "ids"],
    ["no place to reset to", "POST", "/v1/sources/payments/reset", { to: {} }, "to"],
    ["a place that is none", "POST", "/v1/sources/payments/reset", { to: "yesterday" }, "to"],
    ["an offset that is none", "POST", "/v1/sources/payments/reset", { to: { "orders:0": "3" } }, "to['orders:0']"],
    ["no moment to advance to", "POST", "/v1/replay/advance", {}, "to"],
  ] as const)("refuses %s", async (_what, method, to, body, path) => {
    const answer = await api.request(method, to, body, ADMIN);
    expect([answer.status, answer.body.code, answer.body.path]).toEqual([400, "REQUEST_INVALID", path]);
  });
});
