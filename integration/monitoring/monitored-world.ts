import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../../src/definitions/errors.ts";
import { writeModel } from "../../test/api/models/write-model.ts";
import { freePorts } from "../services/free-ports.ts";
import { type MillraceProcess, millraceProcess } from "../services/millrace-process.ts";
import { type PrometheusServer, startPrometheus } from "../services/prometheus-server.ts";
import { type RedisServer, startRedis } from "../services/redis-server.ts";

const TOKEN = "only-of-these-tests-and-long-enough";
const INPUTS = ["n", "spend", "amount"];

/** A Millrace over Redis that has something of everything, and a Prometheus that scrapes it. */
export interface MonitoredWorld extends AsyncDisposable {
  readonly millrace: MillraceProcess;
  readonly redis: RedisServer;
  readonly prometheus: PrometheusServer;
  /** Saves a version of the model `risk`; `broken`: its file is cut. What it is asked about comes true: 1 is right. */
  saveVersion(version: number, broken?: boolean, answer?: number): Promise<void>;
  /** Removes it again. */
  removeVersion(version: number): Promise<void>;
  post(path: string, body: unknown, type?: string): Promise<number>;
  /** By how much the amounts of later requests are too large. */
  setUnit(factor: number): void;
  /** Sends some of everything, events, predictions, batches, what is refused, until what it returns is disposed of. */
  load(): AsyncDisposable;
}

export interface MonitoredWorldOptions {
  /** How much shorter the rules' times are. */
  readonly scale: number;
  /** Who predicts for the model `asked`. Default: the same Millrace, which speaks MLflow's protocol. */
  readonly scoringUrl?: string;
  /** As in the configuration. Default 1: little work at once is too much already. */
  readonly queueDelayTargetMs?: number;
  /** More variables of the Millrace. */
  readonly environment?: Readonly<Record<string, string>>;
}

export async function startMonitoredWorld({
  scale,
  scoringUrl,
  queueDelayTargetMs = 1,
  environment = {},
}: MonitoredWorldOptions): Promise<MonitoredWorld> {
  await using undo = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "millrace-monitored-"));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const versions = join(folder, "risk");
  const versionFolder = (version: number): string => join(versions, String(version));
  const saveVersion = (version: number, broken = false, answer = 1): Promise<void> =>
    writeModel(versionFolder(version), { answer, features: INPUTS, ...(broken ? { bytes: "{" } : {}) });
  await saveVersion(1);
  // One of three cannot be used.
  const refunds = join(folder, "refunds.jsonl");
  const at = new Date().toISOString();
  await writeFile(refunds, ["c1", 5, "c2"].map((card_id) => `${JSON.stringify({ card_id, at })}\n`).join(""));
  const redis = await startRedis();
  undo.defer(() => redis.remove());
  const [port] = await freePorts(1);
  await writeFile(join(folder, "features.ts"), featuresOf(versions, refunds));
  await writeFile(
    join(folder, "millrace.config.ts"),
    configOf(redis, scoringUrl ?? `http://127.0.0.1:${port}`, queueDelayTargetMs),
  );
  const millrace = undo.use(
    await millraceProcess(join(folder, "millrace.config.ts"), {
      MILLRACE_PORT: String(port),
      MILLRACE_MODEL_POLL_SECONDS: "1",
      MILLRACE_ADMIN_TOKEN: TOKEN,
      MILLRACE_LOG_LEVEL: "silent",
      ...environment,
    }),
  );
  const prometheus = undo.use(await startPrometheus(`127.0.0.1:${port}`, scale));

  async function post(path: string, body: unknown, type = "application/json"): Promise<number> {
    const answer = await fetch(new URL(path, millrace.url), {
      method: "POST",
      headers: { "content-type": type, authorization: `Bearer ${TOKEN}` },
      body: typeof body === "string" ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    await answer.arrayBuffer();
    return answer.status;
  }
  let turn = 0;
  let unit = 1;
  async function push(): Promise<void> {
    await post("/v1/sources/payments/events", [{ card_id: `c${turn % 5}`, amount: 3, at: new Date().toISOString() }]);
  }
  async function ask(): Promise<void> {
    turn++;
    // So many and so different that what they are like shows.
    const rows = Array.from({ length: 20 }, (_, i) => ({
      // The last card never pays: what is predicted of it has no outcome.
      card_id: `c${(turn + i) % 6}`,
      amount: unit * ((turn * 7 + i * 13) % 101),
    }));
    const row = rows[0]!;
    await Promise.all([
      post("/v1/models/risk/predict", { rows }),
      post("/v1/models/risk/predict", { rows: [{}] }),
      post("/v1/models/asked/predict", { rows: [row] }),
      post("/v1/models/risk/predict-batch", `${JSON.stringify(row)}\n`, "application/x-ndjson"),
      post("/v1/webhooks/mlflow", {}),
    ]);
  }
  const moved = undo.move();
  return {
    millrace,
    redis,
    prometheus,
    saveVersion,
    removeVersion: (version) => rm(versionFolder(version), { recursive: true, force: true }),
    post,
    setUnit(factor) {
      unit = factor;
    },
    load() {
      let isDone = false;
      // While a fault lasts, requests fail or wait: that is what it is for. Pushes must not hold up what asks.
      const loops = [push, ask].map(async (send) => {
        for (; !isDone; await pause(100)) await send().catch(() => {});
      });
      return {
        async [Symbol.asyncDispose]() {
          isDone = true;
          await Promise.all(loops);
        },
      };
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

/** Waits until it holds. @throws `TOOL_FAILED` with what it waited for */
export async function until(what: string, holds: () => Promise<boolean>, seconds = 60): Promise<number> {
  const started = performance.now();
  while (!(await holds())) {
    if (performance.now() > started + seconds * 1_000) {
      throw new MillraceError("TOOL_FAILED", `Not within ${seconds} s: ${what}`, { kind: "operational" });
    }
    await pause(200);
  }
  return (performance.now() - started) / 1_000;
}

function featuresOf(risk: string, refunds: string): string {
  const index = JSON.stringify(fileURLToPath(new URL("../../src/index.ts", import.meta.url)));
  return `import { count, derive, entity, featureService, featureView, fileReplay, httpPush, model, modelFolder, outcome, requestSource, scoringServer, streamSource, sum, t } from ${index};
const payments = streamSource("payments", {
  stream: httpPush(), eventTime: "at", lateness: "1s", schema: { card_id: t.string(), amount: t.float64(), at: t.timestamp() },
});
const card = entity("card", { card_id: t.string() });
export const counts = featureView("counts", { source: payments, entity: card, features: { n: count().over("24h") } });
export const sums = featureView("sums", { source: payments, entity: card, features: { spend: sum(payments.amount).over("1h") } });
const refunds = streamSource("refunds", {
  stream: fileReplay({ path: ${JSON.stringify(refunds)} }), clock: "stream", eventTime: "at", lateness: "1m", schema: { card_id: t.string(), at: t.timestamp() },
});
export const refunded = featureView("refunded", { source: refunds, entity: card, features: { refunds: count().over("1h") } });
const request = requestSource({ amount: t.float64() });
export const paying = featureService("paying", { features: { n: counts.n, spend: sums.spend, amount: request.amount } });
export const risk = model("risk", {
  inputs: paying, output: { answer: t.float64() }, source: modelFolder(${JSON.stringify(risk)}), predictionLog: { sampleRate: 0.1 },
});
export const repaid = outcome("repaid", {
  model: risk, source: payments, keys: { card_id: payments.card_id }, within: "5s", windows: ["1m"],
  label: derive({ amount: payments.amount }, t.bool(), ({ amount }) => amount > 0), predicted: "answer", bounds: { brier: 0.25 },
});
export const asked = model("asked", {
  inputs: paying, output: { answer: t.float64() }, source: scoringServer({ scoring: "itself" }),
});
`;
}

function configOf(redis: RedisServer, scoringUrl: string, queueDelayTargetMs: number): string {
  return `export default {
  declarations: "./features.ts",
  online: { store: "redis", url: "redis://${redis.host}:${redis.port}", timeoutMs: 500 },
  reads: { deadlineMs: 100, fallback: "partial", cache: { sums: { maxStalenessMs: 200 } } },
  models: { default: "risk" },
  quality: { outcomeSeconds: 1, skewSeconds: 2 },
  server: { queueDelayTargetMs: ${queueDelayTargetMs} },
  connections: {
    scoring: { itself: { url: "${scoringUrl}", timeoutMs: 30_000, maxInFlight: 1_000 } },
    mlflow: { registry: { url: "http://127.0.0.1:1", webhookSecret: "a secret that nobody signs with" } },
  },
};
`;
}
