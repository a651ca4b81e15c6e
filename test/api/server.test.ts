import { channel } from "node:diagnostics_channel";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HTTP_REQUEST_CHANNEL, PREDICTION_CHANNEL } from "../../src/api/channels.ts";
import { toProblem } from "../../src/api/problem.ts";
import { millraceError } from "../../src/definitions/errors.ts";
import { writeModel } from "./models/write-model.ts";
import { openTestApi, type TestApi } from "./open-api.ts";
import { RISK_COLUMNS } from "./payments.ts";

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
  await writeModel(join(api.folder, "risk", "1"), { answer: 0.5, features: RISK_COLUMNS });
  await api.models.refresh();
});
afterAll(() => api.close());

describe("the HTTP server", () => {
  it.each([
    ["an unknown route", "GET", "/v1/nothing", undefined, {}, 404, "ROUTE_UNKNOWN"],
    ["a wrong method", "GET", "/v1/models/risk/predict", undefined, {}, 405, "METHOD_NOT_ALLOWED"],
    ["a wrong method on a plain route", "PUT", "/v1/models", undefined, {}, 405, "METHOD_NOT_ALLOWED"],
    ["JSON that is cut off", "POST", "/v1/models/risk/predict", '{"rows":[', {}, 400, "BODY_MALFORMED"],
    ["no body", "POST", "/v1/models/risk/predict", undefined, {}, 400, "REQUEST_INVALID"],
    [
      "a form",
      "POST",
      "/v1/models/risk/predict",
      "rows=1",
      { "content-type": "text/plain" },
      415,
      "MEDIA_TYPE_UNSUPPORTED",
    ],
    ["a body above the limit", "POST", "/v1/models/risk/predict", " ".repeat(100_001), {}, 413, "BODY_TOO_LARGE"],
    ["a path that is not percent-encoded", "GET", "/v1/models/%ff", undefined, {}, 400, "REQUEST_INVALID"],
    ["a name that is too long", "GET", `/v1/models/${"x".repeat(200)}`, undefined, {}, 404, "ROUTE_UNKNOWN"],
  ] as const)("answers %s with a problem", async (_what, method, url, body, headers, status, code) => {
    const answer = await api.request(method, url, body, headers);
    expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
    expect(answer.body).toMatchObject({ status, code, title: expect.any(String), detail: expect.any(String) });
    expect(answer.body.type).toBe(`urn:millrace:problem:${code.toLowerCase().replaceAll("_", "-")}`);
    expect(answer.status).toBe(status);
    if (status === 405) expect(answer.headers.allow).toMatch(/POST|GET/);
  });

  it("says where a body stops being JSON", async () => {
    const { body } = await api.request("POST", "/v1/models/risk/predict", '{"rows": [{"a" 1}]}');
    expect(body.detail).toContain("position 15");
  });

  it("tells nothing of a bug but the request's id, which is in the log with the cause", async () => {
    const other = await openTestApi({
      backend: { status: () => Promise.reject(new TypeError("secret of row 7")) },
    });
    const answer = await other.request("GET", "/v1/sources/status");
    expect([answer.status, answer.body.code]).toEqual([500, "INTERNAL"]);
    expect(answer.text).not.toContain("secret");
    const line = other.logged.map((text) => JSON.parse(text)).find((entry) => entry.level >= 50);
    expect(answer.body.detail).toContain(line.reqId);
    expect(line.err.message).toBe("secret of row 7");
    await other.close();
  });

  it("gives each kind of error its status, and retries only what may succeed later", () => {
    const kinds = (["user", "operational", "bug"] as const).map((kind) =>
      toProblem(millraceError("SOME_CODE", "What happened.", { kind, details: { n: 12n, status: 1 } }), "r1"),
    );
    expect(kinds.map(({ status, retryAfter }) => [status, retryAfter])).toEqual([
      [400, null],
      [503, 5],
      [500, null],
    ]);
    expect(JSON.parse(kinds[0]!.body)).toMatchObject({ status: 400, code: "SOME_CODE", n: "12" });
    expect(JSON.parse(kinds[2]!.body)).toMatchObject({ code: "INTERNAL" });
  });

  it("answers on / with where everything is", async () => {
    const { body } = await api.request("GET", "/");
    expect(body).toMatchObject({ name: "millrace", version: "1.2.3", links: { docs: "/docs" } });
  });

  it("ignores a slash at the end", async () => {
    expect((await api.request("GET", "/v1/models/")).status).toBe(200);
  });

  it("is ready when the platform is, and lives in any case", async () => {
    expect((await api.request("GET", "/readyz")).body).toEqual({ status: "ready", reasons: [] });
    api.state.ready = false;
    const waiting = await api.request("GET", "/readyz");
    api.state.ready = true;
    expect([waiting.status, waiting.body]).toEqual([503, { status: "not ready", reasons: ["views are being filled"] }]);
    expect((await api.request("GET", "/livez")).body).toEqual({ status: "ok" });
  });

  it("passes the Accept header on to the metrics and their type back", async () => {
    const answer = await api.request("GET", "/metrics", undefined, { accept: "application/openmetrics-text" });
    expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4");
    expect(answer.text).toBe("# asked for application/openmetrics-text\n");
  });

  it("publishes each request with its route's pattern, and each prediction with its outcome", async () => {
    const requests: unknown[] = [];
    const predictions: unknown[] = [];
    const onRequest = (event: unknown): void => void requests.push(event);
    const onPrediction = (event: unknown): void => void predictions.push(event);
    channel(HTTP_REQUEST_CHANNEL).subscribe(onRequest);
    channel(PREDICTION_CHANNEL).subscribe(onPrediction);
    await api.predict([{ card_id: "c", amount: 1 }]);
    await api.predict([{ card_id: "c", amount: "1" }]);
    await api.request("GET", "/nowhere/private-key");
    channel(HTTP_REQUEST_CHANNEL).unsubscribe(onRequest);
    channel(PREDICTION_CHANNEL).unsubscribe(onPrediction);
    const route = "/v1/models/:name/predict";
    expect(requests).toMatchObject([
      { method: "POST", route, status: 200, seconds: expect.any(Number) },
      { method: "POST", route, status: 400 },
      { method: "GET", route: "unknown", status: 404 },
    ]);
    expect(predictions).toMatchObject([
      { model: "risk", version: "1", rows: 1, outcome: "ok" },
      { model: "risk", version: null, rows: 1, outcome: "LOOKUP_INVALID" },
    ]);
  });
});

describe("the API's description", () => {
  it("has every route with its answers, and each model's own route with its types", async () => {
    const { body } = await api.request("GET", "/openapi.json");
    expect(body.openapi).toBe("3.1.0");
    expect(Object.keys(body.paths).sort()).toEqual([
      "/get-online-features",
      "/health",
      "/invocations",
      "/livez",
      "/metrics",
      "/ping",
      "/push",
      "/readyz",
      "/v1/apply",
      "/v1/backfills",
      "/v1/backfills/{id}",
      "/v1/check-consistency",
      "/v1/check-predictions",
      "/v1/dead-letters",
      "/v1/erasures",
      "/v1/features/historical",
      "/v1/features/online",
      "/v1/features/services",
      "/v1/features/services/{name}",
      "/v1/features/views",
      "/v1/features/views/{name}",
      "/v1/manifests/{id}",
      "/v1/models",
      "/v1/models/risk/predict",
      "/v1/models/scaled/predict",
      "/v1/models/{name}",
      "/v1/models/{name}/invocations",
      "/v1/models/{name}/load",
      "/v1/models/{name}/pin",
      "/v1/models/{name}/predict",
      "/v1/models/{name}/predict-batch",
      "/v1/models/{name}/rollback",
      "/v1/models/{name}/unload",
      "/v1/plan",
      "/v1/predictions",
      "/v1/prune",
      "/v1/quality/{service}",
      "/v1/registry",
      "/v1/registry/diff",
      "/v1/registry/entries/{name}",
      "/v1/registry/lineage/{name}",
      "/v1/registry/served-models",
      "/v1/registry/versions",
      "/v1/registry/versions/{version}",
      "/v1/replay/advance",
      "/v1/replay/release",
      "/v1/sources",
      "/v1/sources/status",
      "/v1/sources/{name}/events",
      "/v1/sources/{name}/reset",
      "/v1/training-sets",
      "/v1/training-sets/{id}",
      "/v1/training-sets/{id}/file",
      "/v1/training-sets/{id}/frame",
      "/v1/webhooks/mlflow",
      "/v2",
      "/v2/health/live",
      "/v2/health/ready",
      "/v2/models/{name}",
      "/v2/models/{name}/infer",
      "/v2/models/{name}/ready",
      "/v2/repository/index",
      "/v2/repository/models/{name}/load",
      "/v2/repository/models/{name}/unload",
      "/version",
      "/write-to-online-store",
    ]);
    const { requestBody } = body.paths["/v1/models/risk/predict"].post;
    const { rows } = requestBody.content["application/json"].schema.properties;
    expect(rows.items).toEqual({
      type: "object",
      required: ["card_id", "amount"],
      properties: { card_id: { type: "string" }, amount: { type: "number", format: "double" } },
      additionalProperties: false,
    });
    for (const name of ["Problem", "FeatureStatus", "Model"]) expect(body.components.schemas[name]).toBeDefined();
  });

  it("refers to nothing that it does not define", async () => {
    const { body, text } = await api.request("GET", "/openapi.json");
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1]!);
    expect(references.length).toBeGreaterThan(10);
    for (const reference of references) {
      const name = /^#\/components\/schemas\/(\w+)$/.exec(reference)?.[1];
      expect(body.components.schemas, reference).toHaveProperty(String(name));
    }
  });

  it("is shown at /docs without anything from elsewhere", async () => {
    const page = await api.request("GET", "/docs/");
    expect(page.status).toBe(200);
    expect(page.text).not.toMatch(/(src|href)="https?:/);
  });
});

describe("a stop", () => {
  it("answers 503 on /readyz, finishes what is in flight, and takes no new connections", async () => {
    const held = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const other = await openTestApi({
      backend: {
        status: async () => {
          asked.resolve();
          await held.promise;
          return { sources: [] };
        },
      },
    });
    const { url } = await other.server.listen({ host: "127.0.0.1", port: 0 });
    const answer = fetch(`${url}/v1/sources/status`);
    await asked.promise;
    let isDrained = false;
    const drained = other.server.drain().then(() => {
      isDrained = true;
    });
    expect((await other.server.inject({ url: "/readyz" })).statusCode).toBe(503);
    await expect(fetch(`${url}/livez`)).rejects.toThrow();
    expect(isDrained).toBe(false);
    held.resolve();
    expect((await answer).status).toBe(200);
    await drained;
    await other.close();
  });

  it("fails no request of clients that keep their connections, until they may not connect any more", async () => {
    const other = await openTestApi();
    await writeModel(join(other.folder, "risk", "1"), { answer: 0.25, features: RISK_COLUMNS });
    await other.models.refresh();
    const { url } = await other.server.listen({ host: "127.0.0.1", port: 0 });
    const agent = new Agent({ keepAlive: true });
    const failures: string[] = [];
    let answered = 0;
    const load = Array.from({ length: 12 }, async (_, i) => {
      // Some of them by the HTTP server, the others past it.
      const headers = { "content-type": "application/json", ...(i % 3 === 0 ? { "x-unknown": "1" } : {}) };
      for (;;) {
        const body = JSON.stringify({ rows: [{ card_id: "c1", amount: 1 }] });
        const status = await new Promise<number | string>((resolve) => {
          const sent = request(`${url}/v1/models/risk/predict`, { method: "POST", agent, headers }, (answer) => {
            answer.resume().on("end", () => resolve(answer.statusCode!));
          });
          sent.on("error", ({ message }) => resolve(message));
          sent.end(body);
        });
        if (String(status).startsWith("connect ECONNREFUSED")) return;
        if (status === 200) answered++;
        else failures.push(String(status));
        if (failures.length > 0) return;
      }
    });
    while (answered < 200) await new Promise((resolve) => setImmediate(resolve));
    const before = answered;
    await other.server.drain();
    await Promise.all(load);
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(before);
    await other.close();
  });

  it("says which port is taken", async () => {
    const other = await openTestApi();
    const { url } = await api.server.listen({ host: "127.0.0.1", port: 0 });
    const port = Number(new URL(url).port);
    await expect(other.server.listen({ host: "127.0.0.1", port })).rejects.toMatchObject({
      code: "ADDRESS_UNAVAILABLE",
    });
    await other.close();
    // What is no HTTP gets an answer, too.
    const socket = connect(port, "127.0.0.1");
    socket.write("nonsense\r\n\r\n");
    let text = "";
    for await (const part of socket) text += String(part);
    expect(text.startsWith("HTTP/1.1 400 ")).toBe(true);
    expect(text).toContain("Content-Type: application/problem+json");
    expect(text).toContain("REQUEST_INVALID");
  });
});
