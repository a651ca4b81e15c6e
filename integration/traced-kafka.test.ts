import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Admin, Producer } from "@platformatic/kafka";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { writeModel } from "../test/api/models/write-model.ts";
import { type KafkaCluster, kafkaCluster, QUICK_CLUSTER } from "./services/kafka-cluster.ts";
import { type MillraceProcess, millraceProcess } from "./services/millrace-process.ts";
import { type OtlpReceiver, startOtlpReceiver } from "./services/otlp-receiver.ts";
import { type PrometheusServer, startPrometheus } from "./services/prometheus-server.ts";

const PRODUCERS = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLERS = "0af7651916cd43dd8448eb211c80319c";
let folder = "";
let cluster: KafkaCluster;
let receiver: OtlpReceiver;
let millrace: MillraceProcess;
let prometheus: PrometheusServer;

beforeAll(async () => {
  [cluster, receiver, folder] = await Promise.all([
    kafkaCluster({ properties: QUICK_CLUSTER }),
    startOtlpReceiver(),
    mkdtemp(join(tmpdir(), "millrace-traced-kafka-")),
  ]);
  const admin = new Admin({ clientId: "traced", bootstrapBrokers: [...cluster.brokers] });
  await admin.createTopics({ topics: ["clicks"], partitions: 1, replicas: 1 });
  await admin.close();
  const index = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
  await writeModel(join(folder, "models", "1"), { answer: 1, features: ["n"] });
  await writeFile(
    join(folder, "features.ts"),
    `import { count, entity, featureService, featureView, kafka, model, modelFolder, streamSource, t } from ${index};
const clicks = streamSource("clicks", {
  stream: kafka({ topic: "clicks" }), eventTime: "at", lateness: "1m", schema: { card_id: t.string(), at: t.timestamp() },
});
const card = entity("card", { card_id: t.string() });
export const clicking = featureView("clicking", { source: clicks, entity: card, features: { n: count().over("24h") } });
export const browsing = featureService("browsing", { features: { n: clicking.n } });
export const risk = model("risk", {
  inputs: browsing, output: { answer: t.float64() }, source: modelFolder(${JSON.stringify(join(folder, "models"))}),
});
`,
  );
  await writeFile(
    join(folder, "millrace.config.ts"),
    `export default { declarations: "./features.ts", connections: { kafka: { default: { brokers: ${JSON.stringify(cluster.brokers)} } } } };\n`,
  );
  millrace = await millraceProcess(join(folder, "millrace.config.ts"), {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_TRACES_SAMPLER_ARG: "1",
    OTEL_BSP_SCHEDULE_DELAY: "200",
  });
  prometheus = await startPrometheus(new URL(millrace.url).host, 1);
}, 120_000);
afterAll(async () => {
  await prometheus?.[Symbol.asyncDispose]();
  await millrace?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
  await cluster?.close();
  await rm(folder, { recursive: true, force: true });
});

it("links what a batch causes, in the pipeline's thread, to the trace of the message's producer", async () => {
  const producer = new Producer({ clientId: "traced", bootstrapBrokers: [...cluster.brokers], idempotent: true });
  await producer.send({
    messages: [
      {
        topic: "clicks",
        value: Buffer.from(JSON.stringify({ card_id: "c", at: new Date() })),
        headers: new Map([[Buffer.from("traceparent"), Buffer.from(`00-${PRODUCERS}-00f067aa0ba902b7-01`)]]),
      },
    ],
  });
  await producer.close(true);
  await vi.waitFor(
    () => {
      const batch = receiver.spans.find(({ name, links }) => name === "process clicks" && links.includes(PRODUCERS));
      const parts = receiver.spans.filter(({ parent }) => parent === batch?.span);
      expect(parts.map(({ name }) => name)).toEqual(
        expect.arrayContaining(["fetch", "decode", "commit to cold store", "fold", "write to hot store"]),
      );
      // One trace, not the producer's: a batch has many.
      expect(new Set(parts.map(({ trace }) => trace))).toEqual(new Set([batch!.trace]));
      expect(batch!.trace).not.toBe(PRODUCERS);
    },
    { timeout: 60_000, interval: 50 },
  );
});

it("gives Prometheus exemplars whose traces the collector has", async () => {
  const seconds = 'millrace_prediction_duration_seconds_bucket{model="risk"}';
  await vi.waitFor(
    async () => {
      const headers = { "content-type": "application/json", traceparent: `00-${CALLERS}-b7ad6b7169203331-01` };
      const body = JSON.stringify({ rows: [{ card_id: "c" }] });
      const response = await fetch(new URL("/v1/models/risk/predict", millrace.url), { method: "POST", headers, body });
      expect(response.status).toBe(200);
      const exemplars = await prometheus.exemplars(seconds);
      expect(exemplars.map(({ traceId }) => traceId)).toContain(CALLERS);
      expect(receiver.spans.some(({ name, trace }) => name === "run model" && trace === CALLERS)).toBe(true);
      for (const { value } of exemplars) expect(value).toBeGreaterThan(0);
    },
    { timeout: 60_000, interval: 250 },
  );
});
