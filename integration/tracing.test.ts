import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { writeModel } from "../test/api/models/write-model.ts";
import { type MillraceProcess, millraceProcess } from "./services/millrace-process.ts";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "./services/otlp-receiver.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const CALLER = "b7ad6b7169203331";
let folder = "";
let receiver: OtlpReceiver;
let millrace: MillraceProcess;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  folder = await mkdtemp(join(tmpdir(), "millrace-tracing-"));
  const index = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
  await writeModel(join(folder, "models", "1"), { answer: 1, features: ["n", "amount"] });
  await writeFile(
    join(folder, "features.ts"),
    `import { count, entity, featureService, featureView, httpPush, model, modelFolder, requestSource, streamSource, t } from ${index};
const clicks = streamSource("clicks", {
  stream: httpPush(), eventTime: "at", lateness: "1m", schema: { card_id: t.string(), at: t.timestamp() },
});
export const clicking = featureView("clicking", {
  source: clicks, entity: entity("card", { card_id: t.string() }), features: { n: count().over("24h") },
});
const request = requestSource({ amount: t.float64() });
export const browsing = featureService("browsing", { features: { n: clicking.n, amount: request.amount } });
export const risk = model("risk", {
  inputs: browsing, output: { answer: t.float64() }, source: modelFolder(${JSON.stringify(join(folder, "models"))}),
});
`,
  );
  await writeFile(join(folder, "millrace.config.ts"), 'export default { declarations: "./features.ts" };\n');
  millrace = await millraceProcess(join(folder, "millrace.config.ts"), {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_TRACES_SAMPLER_ARG: "1",
    OTEL_BSP_SCHEDULE_DELAY: "200",
    MILLRACE_LOG_LEVEL: "silent",
  });
});
afterAll(async () => {
  await millrace?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const post = (path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  fetch(new URL(path, millrace.url), {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
const predict = (card: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  post("/v1/models/risk/predict", { rows: [{ card_id: card, amount: 1 }] }, headers);

/** The spans of these names, once they have come. */
async function spansNamed(names: readonly string[], trace?: string): Promise<readonly ReceivedSpan[]> {
  return vi.waitFor(
    () => {
      const found = names.map((name) =>
        receiver.spans.find((span) => span.name === name && (trace === undefined || span.trace === trace)),
      );
      expect(found.map((span) => span?.name)).toEqual(names);
      return found as readonly ReceivedSpan[];
    },
    { timeout: 60_000, interval: 50 },
  );
}

it("continues a caller's trace from request to answer, and names no entity", async () => {
  expect((await predict("card-4711", { traceparent: `00-${TRACE}-${CALLER}-01` })).status).toBe(200);
  const names = ["POST /v1/models/:name/predict", "predict", "read features", "run model", "read hot store"];
  const [server, predicted, read, model, store] = await spansNamed(names, TRACE);
  expect(server).toMatchObject({ parent: CALLER, kind: 2, service: "millrace", error: false });
  expect(server!.attributes).toEqual({
    "http.request.method": "POST",
    "http.route": "/v1/models/:name/predict",
    "http.response.status_code": "200",
    "url.scheme": "http",
  });
  expect(predicted!.parent).toBe(server!.span);
  expect([read!.parent, model!.parent]).toEqual([predicted!.span, predicted!.span]);
  expect(store!.attributes).toMatchObject({ "millrace.service": "browsing", "millrace.rows": "1" });
  expect(server!.seconds).toBeGreaterThanOrEqual(predicted!.seconds - 0.001);
  expect(JSON.stringify(receiver.spans)).not.toContain("card-4711");
});

it("records nothing of a trace that its caller does not record", async () => {
  const unsampled = TRACE.replace("0af7", "ffff");
  await predict("a", { traceparent: `00-${unsampled}-${CALLER}-00` });
  const after = TRACE.replace("0af7", "eeee");
  await predict("a", { traceparent: `00-${after}-${CALLER}-01` });
  await spansNamed(["predict"], after);
  expect(receiver.spans.filter(({ trace }) => trace === unsampled)).toEqual([]);
});

it("links the traces of requests that were predicted together", async () => {
  await vi.waitFor(
    async () => {
      await Promise.all(Array.from({ length: 30 }, (_, i) => predict(String(i))));
      const shared = receiver.spans.find(({ name }) => name === "predict together");
      expect(new Set(shared?.links).size).toBe(Number(shared?.attributes["millrace.requests"]));
      expect(shared!.links.length).toBeGreaterThan(1);
    },
    { timeout: 60_000, interval: 100 },
  );
});

it("follows a batch from its source to the hot store", async () => {
  const events = [{ card_id: "card-4711", at: new Date().toISOString() }];
  const answer = await post("/v1/sources/clicks/events", events);
  expect(await answer.text()).toContain('"accepted":1');
  const [batch] = await spansNamed(["process clicks"]);
  const parts = await spansNamed(
    ["fetch", "decode", "commit to cold store", "fold", "write to hot store"],
    batch!.trace,
  );
  for (const part of parts) expect(part.parent).toBe(batch!.span);
  expect(batch).toMatchObject({ kind: 5, parent: "" });
  expect(batch!.attributes).toMatchObject({ "messaging.batch.message_count": "1" });
  expect(JSON.stringify(receiver.spans)).not.toContain("card-4711");
});

it("gives the trace of a latency as its exemplar", async () => {
  const trace = TRACE.replace("0af7", "abcd");
  await predict("a", { traceparent: `00-${trace}-${CALLER}-01` });
  const accept = "application/openmetrics-text; version=1.0.0";
  const metrics = await (await fetch(new URL("/metrics", millrace.url), { headers: { accept } })).text();
  expect(metrics).toMatch(new RegExp(`millrace_prediction_duration_seconds_bucket.*# \\{trace_id="${trace}"\\}`));
});
