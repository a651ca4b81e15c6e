import { type ChildProcess, spawnSync } from "node:child_process";
import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as api from "../src/api/channels.ts";
import * as engine from "../src/feature_engineering/engine/channels.ts";
import { outcomeQuality } from "../src/feature_engineering/outcomes/outcome-quality.ts";
import * as store from "../src/feature_store/channels.ts";
import * as ingestion from "../src/ingestion/channels.ts";
import { mergeExpositions } from "../src/monitoring/merge-expositions.ts";
import { METRIC_SECTIONS } from "../src/monitoring/metric-sections.ts";
import { createMetrics, type Metrics } from "../src/monitoring/metrics.ts";
import { freePorts } from "./services/free-ports.ts";
import { prometheusTool } from "./services/prometheus-tool.ts";
import { spawnService } from "./services/spawn-service.ts";

const PREDICTIONS = 20_000;
const main: Metrics = createMetrics({ thread: "main" });
const pipeline: Metrics = createMetrics({ thread: "pipeline" });
const latencies = new Float64Array(PREDICTIONS);

/** One event at least on each channel, so that each family has series, and lognormal latencies. */
function publishAll(): void {
  const publish = (name: string, event: unknown): void => channel(name).publish(event);
  publish(api.MODEL_LOAD_CHANNEL, {
    model: "delay",
    version: "3",
    seconds: 0.2,
    outcome: "ok",
    sizeBytes: 1e6,
  } satisfies api.ModelLoadEvent);
  publish(api.MODEL_SWAP_CHANNEL, { model: "delay", version: "3", previous: null } satisfies api.ModelSwapEvent);
  publish(api.HTTP_REQUEST_CHANNEL, {
    method: "POST",
    route: '/v1/"odd"\\route',
    status: 200,
    seconds: 0.01,
  } satisfies api.HttpRequestEvent);
  publish(api.MODEL_UPDATE_CHANNEL, {
    model: "delay",
    failures: [{ version: "4", reason: "MODEL_UNREADABLE" }],
    isFailing: true,
  } satisfies api.ModelUpdateEvent);
  publish(api.MODEL_WEBHOOK_CHANNEL, { outcome: "taken" } satisfies api.ModelWebhookEvent);
  publish(api.BATCH_CHANNEL, {
    model: "delay",
    format: "ndjson",
    rows: 9,
    failed: 1,
    seconds: 0.1,
    outcome: "ok",
  } satisfies api.BatchEvent);
  publish(api.SCORING_CHANNEL, {
    server: "python",
    outcome: "ok",
    seconds: 0.01,
    retries: 1,
  } satisfies api.ScoringEvent);
  publish(api.SCORING_BREAKER_CHANNEL, { server: "python", state: "open" } satisfies api.ScoringBreakerEvent);
  publish(api.SHED_CHANNEL, { class: "predict" } satisfies api.ShedEvent);
  publish(api.PREDICTED_ROWS_CHANNEL, {
    model: "delay",
    version: "3",
    service: "risk",
    columns: [{ name: "amount", type: { kind: "float64", nullable: true } }],
    outputs: [{ name: "probability", type: { kind: "float64", nullable: false } }],
    profile: null,
    rows: 1,
    feature: () => 1,
    answer: () => 0.5,
  } satisfies api.PredictedRowsEvent);
  publish(store.SKEW_CHANNEL, {
    service: "risk",
    equal: 1,
    different: 0,
    unknown: 0,
    examples: [],
  } satisfies store.SkewEvent);
  publish(store.OUTCOME_CHANNEL, {
    outcome: "arrived_late",
    model: "delay",
    service: "risk",
    task: "binary",
    clock: Date.now(),
    waiting: 1,
    dropped: 0,
    completeFrom: null,
    windows: [
      {
        name: "recent",
        quality: outcomeQuality("binary", [
          { answer: 0.9, label: 1, weight: 1 },
          { answer: 0.2, label: 0, weight: 1 },
        ]),
        unmatched: 1,
        unscored: 0,
        versions: [],
      },
    ],
    bounds: [{ metric: "auc", bound: 0.6, value: 1, broken: false }],
  } satisfies store.OutcomeEvent);
  publish(api.CERTIFICATE_CHANNEL, { outcome: "ok", expiresAt: Date.now() } satisfies api.CertificateEvent);
  let state = 11;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 4_294_967_298;
  };
  for (let i = 0; i < PREDICTIONS; i++) {
    const seconds = 0.002 * Math.exp(0.6 * Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()));
    latencies[i] = seconds;
    publish(api.PREDICTION_START_CHANNEL, undefined);
    publish(api.PREDICTION_CHANNEL, {
      model: "delay",
      version: "3",
      rows: 1,
      seconds,
      stages: { features: seconds / 2, model: seconds / 4 },
      outcome: "ok",
    } satisfies api.PredictionEvent);
  }
  latencies.sort();
  publish(store.ONLINE_READ_CHANNEL, {
    service: "risk",
    rows: 1,
    hits: 1,
    misses: 0,
    unavailable: 0,
    cacheHits: 1,
    cacheMisses: 0,
    cacheAgeSeconds: 0.1,
    headOverlaps: 0,
    seconds: 1e-5,
    inputViews: ["sent"],
    statuses: () => [["PRESENT"]],
  } satisfies store.OnlineReadEvent);
  publish(ingestion.INGESTION_BATCH_CHANNEL, {
    source: "payments",
    partition: "0",
    messages: 9,
    deadLetters: 1,
    deadLetterCodes: { DECODE_FAILED: 1 },
    lastOffset: 9,
    lastEventTime: Date.now(),
    decodeSeconds: 0.001,
    handleSeconds: 0.01,
  } satisfies ingestion.IngestionBatchEvent);
  publish(ingestion.INGESTION_LAG_CHANNEL, {
    source: "payments",
    partitions: [{ partition: "0", lastOffset: 9, lastEventTime: 1, lagMessages: 5, lagSeconds: 2.5 }],
  } satisfies ingestion.IngestionLagEvent);
  publish(engine.ENGINE_BATCH_CHANNEL, {
    source: "payments",
    events: 9,
    duplicates: 0,
    conflicts: 0,
    nullKeys: 0,
    writes: 3,
    commitSeconds: 0.01,
    foldSeconds: 0.001,
    writeSeconds: 0.001,
    clock: Date.now(),
    views: ["sent", "received"],
    newestEventTime: Date.now(),
  } satisfies engine.EngineBatchEvent);
  publish(engine.ENGINE_RECOVERY_CHANNEL, {
    source: "payments",
    events: 0,
    total: 0,
    done: true,
    views: ["sent"],
    newestEventTime: Date.now(),
  } satisfies engine.EngineRecoveryEvent);
}

/** They need a baseline and a window of rows that are sampled over time; dashboards.test.ts shows them. */
const OVER_TIME: ReadonlySet<string> = new Set([
  "millrace_feature_drift_detected",
  "millrace_feature_drift_score",
  "millrace_feature_null_ratio",
  "millrace_feature_out_of_range_ratio",
  "millrace_model_calibration_ratio",
  "millrace_model_quality_degraded",
  "millrace_model_quality_rows",
  "millrace_model_quality_score",
  "millrace_model_quality_waiting_rows",
  "millrace_prediction_drift_detected",
  "millrace_prediction_drift_score",
]);

async function joined(accept: string): Promise<{ contentType: string; body: string }> {
  const first = await main.render(accept);
  return { ...first, body: mergeExpositions(first.body, (await pipeline.render(accept)).body) };
}

beforeAll(publishAll);
afterAll(() => {
  main.close();
  pipeline.close();
});

it("promtool finds nothing to say about the names, help and types", async () => {
  const { body } = await joined("text/plain");
  const check = spawnSync(prometheusTool("promtool"), ["check", "metrics"], { input: body, encoding: "utf8" });
  expect(check.stderr + check.stdout).toBe("");
  expect(check.status).toBe(0);
});

describe.each([
  ["OpenMetrics", "application/openmetrics-text; version=1.0.0"],
  ["the text format", "text/plain"],
])("a Prometheus that is given %s", (_name, accept) => {
  let folder: string;
  let target: Server;
  let prometheus: ChildProcess;
  let address: string;
  let log = "";
  let lastType: string | undefined;

  beforeAll(async () => {
    const program = prometheusTool("prometheus");
    folder = await mkdtemp(join(tmpdir(), "millrace-prometheus-"));
    target = createServer((_request, response) => {
      void joined(accept).then(({ contentType, body }) => {
        lastType = contentType;
        response.setHeader("content-type", contentType).end(body);
      });
    });
    const config = `global: { scrape_interval: 1s }
scrape_configs:
  - job_name: millrace
    static_configs: [{ targets: ["127.0.0.1:${await listen(target)}"] }]
`;
    await writeFile(join(folder, "prometheus.yml"), config);
    address = `127.0.0.1:${(await freePorts(1))[0]!}`;
    prometheus = spawnService(program, [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${address}`,
    ]);
    prometheus.stderr!.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    await until("Prometheus has scraped its target", async () => (await query("up"))[0]?.value === 1);
  });

  afterAll(async () => {
    if (prometheus?.exitCode === null) {
      const ended = once(prometheus, "exit");
      prometheus.kill("SIGTERM");
      await ended;
    }
    target?.closeAllConnections();
    target?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  async function query(expression: string): Promise<{ metric: Record<string, string>; value: number }[]> {
    const response = await fetch(`http://${address}/api/v1/query?query=${encodeURIComponent(expression)}`).catch(
      () => null,
    );
    if (response === null || !response.ok) return [];
    const { data } = (await response.json()) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] };
    };
    return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!(await holds())) {
      if (Date.now() > deadline || prometheus.exitCode !== null) expect.fail(`Not in time: ${what}.\n${log}`);
      await pause(100);
    }
  }

  it("stores series of every documented family", async () => {
    expect(lastType).toContain(accept.split(";")[0]!);
    const missing: string[] = [];
    for (const { name, type } of METRIC_SECTIONS.flatMap(({ families }) => families)) {
      const series = type === "histogram" ? `${name}_count` : name;
      if (!OVER_TIME.has(name) && (await query(series)).length === 0) missing.push(series);
    }
    expect(missing).toEqual([]);
    expect((await query("scrape_samples_scraped"))[0]!.value).toBeGreaterThan(300);
  });

  it("keeps values and labels", async () => {
    expect((await query("millrace_predictions_total"))[0]).toMatchObject({
      metric: { model: "delay" },
      value: PREDICTIONS,
    });
    expect((await query("millrace_http_requests_total"))[0]!.metric).toMatchObject({ route: '/v1/"odd"\\route' });
    expect((await query("millrace_thread_heap_used_bytes")).map(({ metric }) => metric.thread).sort()).toEqual([
      "main",
      "pipeline",
    ]);
  });

  it.each([0.5, 0.95, 0.99])("computes the quantile %d of the latencies within 3%", async (q) => {
    const [answer] = await query(`histogram_quantile(${q}, millrace_prediction_duration_seconds_bucket)`);
    const exact = latencies[Math.ceil(q * PREDICTIONS) - 1]!;
    expect(Math.abs(answer!.value / exact - 1)).toBeLessThan(0.03);
  });
});

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
