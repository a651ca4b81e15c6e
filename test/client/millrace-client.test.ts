import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type MillraceClientOptions, millraceClient } from "../../src/client/index.ts";
import { writeModel } from "../api/models/write-model.ts";
import { openTestApi, payment, type TestApi } from "../api/open-api.ts";
import { lists, NOW, paymentModels, RISK_COLUMNS, risk, typed } from "../api/payments.ts";

let api: TestApi;
let url: string;
beforeAll(async () => {
  api = await openTestApi();
  await writeModel(join(api.folder, "risk", "1"), { answer: 0.5, features: RISK_COLUMNS });
  await api.models.refresh();
  await api.push([payment("p1", 60, { account: 2n ** 60n + 1n }), payment("p2", 30, { account: 7n })]);
  ({ url } = await api.server.listen({ host: "127.0.0.1", port: 0 }));
});
afterAll(() => api.close());

/** Answers the first calls with what is given, the rest with the real server. */
function failing(answers: readonly (Response | Error)[]): {
  readonly options: Partial<MillraceClientOptions>;
  calls: Request[];
} {
  const calls: Request[] = [];
  const left = [...answers];
  const send: typeof fetch = async (input, init) => {
    calls.push(new Request(input, init));
    const next = left.shift();
    if (next instanceof Error) throw next;
    return next ?? fetch(input, init);
  };
  return { options: { fetch: send, pauseMs: 1, random: () => 0.5 }, calls };
}

const unavailable = (headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify({ code: "OVERLOADED", detail: "Too much.", status: 503 }), { status: 503, headers });

describe("the client and a real server", () => {
  const model = paymentModels("").risk;

  it("predicts one lookup and many", async () => {
    const client = millraceClient({ url });
    const one = await client.predict(model, { card_id: "c1", amount: 2 });
    expect(one).toMatchObject({ version: "1", isFallback: false, asOf: expect.any(Date) });
    expect((one.prediction as { probability: number }).probability).toBeCloseTo(0.5, 5);
    expect(
      await client.predictBatch(model, [
        { card_id: "c1", amount: 2 },
        { card_id: "c2", amount: 1 },
      ]),
    ).toHaveLength(2);
    expect(await client.predictBatch(model, [])).toEqual([]);
  });

  it("reads features with their types and statuses", async () => {
    const client = millraceClient({ url: `${url}/` });
    const { features, statuses, asOf } = await client.getOnlineFeatures(risk, { card_id: "c1", amount: 2.5 });
    expect(features).toEqual({ n: 2, spend: expect.any(Number), amount: 2.5 });
    expect(statuses.n).toBe("PRESENT");
    expect(Math.abs(asOf.getTime() - NOW)).toBeLessThan(3_600_000);
    const asked = new Date(NOW);
    const big = await client.getOnlineFeatures(typed, { card_id: "c1", account: 2n ** 60n + 1n, asked });
    expect(big.features).toEqual({
      account_n: 1,
      last_account: 2n ** 60n + 1n,
      last_at: new Date(NOW - 30_000),
      asked,
    });
    const { features: habits } = await client.getOnlineFeatures(lists, { card_id: "c1" });
    expect(typeof habits.accounts![0]).toBe("bigint");
    expect(habits.times![0]).toBeInstanceOf(Date);
  });

  it("gives the server's problems as errors with their code", async () => {
    const client = millraceClient({ url });
    // biome-ignore lint/suspicious/noExplicitAny: a lookup that the types refuse
    const wrong = { card_id: "c1" } as any;
    await expect(client.predict(model, wrong)).rejects.toMatchObject({
      code: "LOOKUP_COLUMN_MISSING",
      kind: "user",
      details: { status: 400 },
    });
  });
});

describe("what may pass is tried again", () => {
  const lookup = { card_id: "c1", amount: 1 };

  it("after a lost connection and a 503", async () => {
    const { options, calls } = failing([new TypeError("fetch failed"), unavailable()]);
    const { features } = await millraceClient({ url, ...options }).getOnlineFeatures(risk, lookup);
    expect(features.n).toBe(2);
    expect(calls).toHaveLength(3);
    expect(Number(calls[2]!.headers.get("x-request-timeout-ms"))).toBeLessThanOrEqual(10_000);
  });

  it("no sooner than Retry-After asks", async () => {
    const { options } = failing([unavailable({ "retry-after": "0.2" })]);
    const start = performance.now();
    await millraceClient({ url, ...options }).getOnlineFeatures(risk, lookup);
    expect(performance.now() - start).toBeGreaterThanOrEqual(195);
  });

  it("but no pause is begun that would pass the deadline", async () => {
    const { options, calls } = failing([unavailable({ "retry-after": "60" })]);
    await expect(
      millraceClient({ url, ...options, timeoutMs: 500 }).getOnlineFeatures(risk, lookup),
    ).rejects.toMatchObject({ code: "OVERLOADED", details: { retry_after_seconds: 60 } });
    expect(calls).toHaveLength(1);
  });

  it("and not for ever, and never what the caller did wrong", async () => {
    const down = failing(Array.from({ length: 9 }, () => new TypeError("fetch failed")));
    await expect(millraceClient({ url, ...down.options }).getOnlineFeatures(risk, lookup)).rejects.toMatchObject({
      code: "SERVER_UNREACHABLE",
    });
    expect(down.calls).toHaveLength(4);
    const refused = failing([new Response("no", { status: 403 })]);
    await expect(millraceClient({ url, ...refused.options }).getOnlineFeatures(risk, lookup)).rejects.toMatchObject({
      code: "HTTP_403",
    });
    expect(refused.calls).toHaveLength(1);
  });
});

describe("a call ends", () => {
  /** Never answers, but for its signal. */
  const silent: typeof fetch = (_input, init) =>
    new Promise((_resolve, reject) => {
      init!.signal!.addEventListener("abort", () => reject(init!.signal!.reason as Error));
    });

  it("at its deadline", async () => {
    const client = millraceClient({ url, fetch: silent });
    await expect(client.getOnlineFeatures(risk, { card_id: "c", amount: 1 }, { timeoutMs: 20 })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
  });

  it("when the caller gives it up, also in a pause", async () => {
    const reason = new Error("gone");
    const waiting = new AbortController();
    const call = millraceClient({ url, fetch: silent }).getOnlineFeatures(
      risk,
      { card_id: "c", amount: 1 },
      { signal: waiting.signal },
    );
    waiting.abort(reason);
    await expect(call).rejects.toBe(reason);
    const pausing = new AbortController();
    const { options, calls } = failing([unavailable({ "retry-after": "5" })]);
    const paused = millraceClient({ url, ...options }).getOnlineFeatures(
      risk,
      { card_id: "c", amount: 1 },
      { signal: pausing.signal },
    );
    await expect.poll(() => calls.length).toBe(1);
    pausing.abort(reason);
    await expect(paused).rejects.toBe(reason);
  });

  it("when the answer is no answer of Millrace", async () => {
    const { options } = failing([new Response("<html>")]);
    await expect(
      millraceClient({ url, ...options }).getOnlineFeatures(risk, { card_id: "c", amount: 1 }),
    ).rejects.toMatchObject({ code: "ANSWER_INVALID" });
    expect(() => millraceClient({ url: "localhost:8080" })).toThrow(/http or https/);
  });
});
