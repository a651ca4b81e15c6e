import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { BatchLimits } from "../../src/api/batch/batch-limits.ts";
import { resolveBatch } from "../../src/config/batch-config.ts";
import { writeModel } from "./models/write-model.ts";
import { openTestApi, type TestApi, type TestApiOptions } from "./open-api.ts";
import { RISK_COLUMNS } from "./payments.ts";

async function opened(options: TestApiOptions): Promise<TestApi> {
  const api = await openTestApi({ maxRows: 10_000, ...options });
  await writeModel(join(api.folder, "risk", "1"), { answer: 0.5, features: RISK_COLUMNS });
  await api.models.refresh();
  return api;
}
const keys = (count: number): object[] => Array.from({ length: count }, () => ({ card_id: "c1", amount: 1 }));
const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
const ndjson = { "content-type": "application/x-ndjson" };

describe("limits of batches", () => {
  it.each([
    ["rows", { rows: 3 }, lines(keys(4)), "TOO_MANY_ROWS", "MILLRACE_BATCH_ROWS"],
    ["rowBytes", { rowBytes: 64 }, `{"card_id":"${"x".repeat(100)}`, "BODY_TOO_LARGE", "MILLRACE_BATCH_ROW_BYTES"],
    ["bodyBytes", { bodyBytes: 100 }, lines(keys(10)), "BODY_TOO_LARGE", "MILLRACE_BATCH_BODY_BYTES"],
  ] as const)("an error names server.batch.%s and its variable", async (name, batch, body, code, variable) => {
    const api = await opened({ batch });
    try {
      const answer = await api.request("POST", "/v1/models/risk/predict-batch", body, ndjson);
      expect(answer).toMatchObject({ status: 413, body: { code, limit: `server.batch.${name}` } });
      expect(answer.body.detail).toContain(`server.batch.${name} (${variable})`);
    } finally {
      await api.close();
    }
  });

  it("answers are the same in chunks of any size", async () => {
    const api = await opened({ batch: { chunkRows: 3 } });
    try {
      const { url } = await api.server.listen({ host: "127.0.0.1", port: 0 });
      const answer = await fetch(`${url}/v1/models/risk/predict-batch`, {
        method: "POST",
        headers: ndjson,
        body: lines(keys(10)),
      });
      expect((await answer.text()).trim().split("\n")).toEqual(Array(10).fill('{"probability":0.5}'));
    } finally {
      await api.close();
    }
  });

  it("are configured by values and variables, and nothing else is taken", () => {
    expect(resolveBatch({ rows: 7 }, { MILLRACE_BATCH_ROW_BYTES: "2048" })).toMatchObject({ rows: 7, rowBytes: 2_048 });
    for (const [given, env] of [
      [{ rows: 0 }, {}],
      [{ chunkRows: 1.5 }, {}],
      [{ size: 1 } as Partial<BatchLimits>, {}],
      [{}, { MILLRACE_BATCH_IDLE_SECONDS: "" }],
    ] as const) {
      expect(() => resolveBatch(given, env)).toThrow(/server\.batch|MILLRACE_BATCH/);
    }
  });
});

describe("many rows", () => {
  const many = {
    infer: [
      "/v2/models/risk/infer",
      {
        inputs: [
          { name: "card_id", shape: [500], datatype: "BYTES", data: Array(500).fill("c1") },
          { name: "amount", shape: [500], datatype: "FP64", data: Array(500).fill(1) },
        ],
        parameters: { rows: "keys" },
      },
    ],
    invocations: ["/v1/models/risk/invocations", { dataframe_records: keys(500), params: { rows: "keys" } }],
    predict: ["/v1/models/risk/predict", { rows: keys(500) }],
  } as const;

  it.each(Object.entries(many))("%s stops at the deadline, in the middle of its rows", async (_name, [path, body]) => {
    let reads = 0;
    const api = await opened({
      features: (store) => ({
        ...store,
        async getOnlineFeatures(service, request) {
          reads++;
          const deadline = request as { readonly deadline?: number };
          while (performance.now() <= (deadline.deadline ?? 0)) await turn();
          return store.getOnlineFeatures(service, request);
        },
      }),
    });
    try {
      const answer = await api.request("POST", path, body, { "x-request-timeout-ms": "50" });
      expect([answer.status, JSON.stringify(answer.body)]).toEqual([504, expect.stringContaining("DEADLINE_EXCEEDED")]);
      expect(reads).toBe(1);
    } finally {
      await api.close();
    }
  });

  it.each(Object.entries(many))("%s stops when its client has left", async (_name, [path, body]) => {
    let reads = 0;
    const left = Promise.withResolvers<void>();
    const leave = Promise.withResolvers<void>();
    const api = await opened({
      features: (store) => ({
        ...store,
        async getOnlineFeatures(service, request) {
          reads++;
          leave.resolve();
          await left.promise;
          const { isGone } = request as { readonly isGone?: () => boolean };
          // The server hears of it a little later than the client.
          for (const end = performance.now() + 5_000; isGone?.() === false && performance.now() < end; ) await turn();
          return store.getOnlineFeatures(service, request);
        },
      }),
    });
    try {
      const { url } = await api.server.listen({ host: "127.0.0.1", port: 0 });
      const headers = { "content-type": "application/json", accept: "application/json" };
      const sent = httpRequest(`${url}${path}`, { method: "POST", headers });
      sent.on("error", () => {});
      sent.end(JSON.stringify(body));
      await leave.promise;
      sent.destroy();
      left.resolve();
      for (let i = 0; i < 50; i++) await turn();
      expect(reads).toBe(1);
    } finally {
      await api.close();
    }
  });
});

it("a batch whose body does not come ends at its deadline", async () => {
  const api = await opened({});
  try {
    const { url } = await api.server.listen({ host: "127.0.0.1", port: 0 });
    const headers = { ...ndjson, "x-request-timeout-ms": "100" };
    const status = await new Promise<number>((resolve, reject) => {
      const sent = httpRequest(`${url}/v1/models/risk/predict-batch`, { method: "POST", headers }, (answer) => {
        resolve(answer.statusCode!);
        sent.destroy();
      });
      sent.on("error", reject);
      sent.write('{"card_id":');
    });
    expect(status).toBe(504);
  } finally {
    await api.close();
  }
});
