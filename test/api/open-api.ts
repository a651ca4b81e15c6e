import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LightMyRequestResponse } from "fastify";
import { pino } from "pino";
import type { ApiSecurity } from "../../src/api/auth/api-auth.ts";
import type { ApiBackend } from "../../src/api/backend.ts";
import { type BatchLimits, DEFAULT_BATCH_LIMITS } from "../../src/api/batch/batch-limits.ts";
import { createModelHost } from "../../src/api/models/create-model-host.ts";
import { folderSourceOf } from "../../src/api/models/folder-model-source.ts";
import type { ModelHost } from "../../src/api/models/model-host.ts";
import { createPredictionLog, type PredictionLog } from "../../src/api/models/prediction-log.ts";
import { type ApiServer, type ApiServerOptions, createApiServer } from "../../src/api/server.ts";
import { millraceError } from "../../src/definitions/errors.ts";
import { collectDeclarations, type Declarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { createFeatureStore, type FeatureStore } from "../../src/feature_store/feature-store.ts";
import { encodeFrame } from "../../src/feature_store/offline/duckdb-frame.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { trainingJobs } from "../../src/feature_store/training-jobs.ts";
import { createTrainingSet } from "../../src/feature_store/training-set.ts";
import { createMetrics } from "../../src/monitoring/metrics.ts";
import { createLifecycle } from "../../src/pipeline/lifecycle.ts";
import { createPipeline, type Pipeline } from "../../src/pipeline/pipeline.ts";
import * as declared from "./payments.ts";
import { NOW, paymentModels } from "./payments.ts";

export const TOKEN = "secret-token";

export interface TestApi {
  /** Holds a folder per model. */
  readonly folder: string;
  readonly declarations: Declarations;
  readonly features: FeatureStore;
  readonly models: ModelHost;
  readonly server: ApiServer;
  readonly pipeline: Pipeline;
  readonly backend: ApiBackend;
  readonly predictionLog: PredictionLog;
  /** What was logged, as pino writes it. */
  readonly logged: readonly string[];
  /** Answers of `/readyz`; to be changed by a test. */
  readonly state: { ready: boolean };
  request(method: "GET" | "POST" | "DELETE" | "PUT", url: string, body?: unknown, headers?: object): Promise<Answered>;
  predict(rows: readonly object[], options?: object, model?: string): Promise<Answered>;
  /** Pushes events and waits until they are readable. */
  push(events: readonly object[]): Promise<void>;
  close(): Promise<void>;
}

export interface Answered {
  readonly status: number;
  readonly headers: LightMyRequestResponse["headers"];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read into answers of any shape
  readonly body: any;
  readonly bytes: Buffer;
}

export interface TestApiOptions {
  /** Stands in for the write side's answers. */
  readonly backend?: Partial<ApiBackend>;
  readonly features?: (store: FeatureStore) => FeatureStore;
  /** Declared besides the payments', with models in folders of their names under the folder. */
  readonly more?: (folder: string) => object;
  readonly maxRows?: number;
  readonly security?: ApiSecurity;
  readonly load?: ApiServerOptions["load"];
  readonly batch?: Partial<BatchLimits>;
  /** What share of the rows all models log. */
  readonly sampleRate?: number;
  /** What of them no log keeps, of the models that have it. */
  readonly redact?: readonly string[];
  readonly token?: string | null;
  readonly host?: Partial<Parameters<typeof createModelHost>[0]>;
}

/** A whole server on memory stores, without a network; versions count as complete at once and are looked for by `refresh`. */
export async function openTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-api-"));
  const collected = collectDeclarations({ ...declared, ...paymentModels(folder), ...options.more?.(folder) });
  const declarations: Declarations = {
    ...collected,
    models: collected.models.map((model) => ({
      ...model,
      logSampleRate: options.sampleRate ?? 0,
      logRedact: options.redact ?? [],
    })),
  };
  const online = memoryOnlineStore();
  const offline = memoryOfflineStore();
  const now = (): number => NOW;
  const pipeline = createPipeline({ ...declarations, online, offline, now });
  const store = createFeatureStore({ ...declarations, online, offline, now });
  const features = options.features?.(store) ?? store;
  const logged: string[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => logged.push(line) });
  const predictionLog = createPredictionLog({
    online,
    write: (records) => offline.appendPredictions(records),
    onFailure: (error) => log.error({ err: error }),
  });
  const models = createModelHost({
    predictionLog,
    models: declarations.models,
    features,
    pollSeconds: 3_600,
    cacheBytes: 2 ** 30,
    log,
    now,
    sourceOf: (model) => folderSourceOf(model, { quietMs: 0 }),
    ...options.host,
  });
  const lifecycle = createLifecycle({
    online,
    offline,
    current: () => ({ declarations, store }),
    onFailure: (what, error) => log.error({ what, err: error }),
  });
  const backend: ApiBackend = {
    push: (source, events, push) => pipeline.push(source, events, push),
    async trainingSet(service, request, format) {
      const { columns, rows, manifest } = await createTrainingSet(store, service, request);
      return {
        bytes: format === "rows" ? null : await encodeFrame(format, { columns, rows }, manifest),
        columns: columns.map(({ name, type }) => ({ name, kind: type.kind, item: type.item ?? null })),
        rows: format === "rows" ? rows : null,
        manifest,
      };
    },
    outcomes: async () => [],
    status: () => pipeline.status(),
    deadLetters: (filter) => offline.deadLetters(filter),
    removeDeadLetters: (ids) => offline.removeDeadLetters(ids),
    resetSource: async () => [],
    advanceTo: (time) => pipeline.advanceTo(time),
    release: async () => pipeline.release(),
    applied: async () => null,
    checkConsistency: async () => [],
    ...lifecycle.methods,
    ...trainingJobs({ folder: join(folder, "training-sets"), store: () => store, offline }),
    ...options.backend,
  };
  const state = { ready: true };
  const metrics = createMetrics({ thread: "main" });
  const server = await createApiServer({
    features,
    models,
    backend,
    declarations,
    takeOver: async () => {
      throw millraceError("PLAN_BREAKING", "Nothing is taken over here.");
    },
    readiness: () => ({ ready: state.ready, reasons: state.ready ? [] : ["views are being filled"] }),
    metrics: async (accept) => ({ contentType: "text/plain; version=0.0.4", body: `# asked for ${accept}\n` }),
    quality: metrics.quality,
    limits: {
      bodyLimitBytes: 100_000,
      maxRows: options.maxRows ?? 1_000,
      batch: { ...DEFAULT_BATCH_LIMITS, ...options.batch },
    },
    log,
    version: "1.2.3",
    ...(options.security === undefined ? {} : { security: options.security }),
    ...(options.load === undefined ? {} : { load: options.load }),
    token: options.token === undefined ? TOKEN : options.token,
  });
  await lifecycle.beforeFill();
  await pipeline.recover();
  pipeline.start();
  await models.start();

  const request: TestApi["request"] = async (method, url, body, headers = {}) => {
    const given = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
    const answer = await server.inject({
      method,
      url,
      headers: { ...(given === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(given === undefined ? {} : { payload: given }),
    });
    const isJson = String(answer.headers["content-type"]).includes("json");
    return {
      status: answer.statusCode,
      headers: answer.headers,
      text: answer.body,
      body: isJson ? answer.json() : null,
      bytes: answer.rawPayload,
    };
  };

  return {
    folder,
    declarations,
    features,
    models,
    server,
    pipeline,
    backend,
    predictionLog,
    logged,
    state,
    request,
    predict: (rows, more = {}, model = "risk") => request("POST", `/v1/models/${model}/predict`, { rows, ...more }),
    async push(events) {
      await pipeline.push("payments", events);
      await pipeline.advanceTo(NOW);
    },
    async close() {
      await server.close();
      metrics.close();
      await models.close();
      await predictionLog.close();
      await lifecycle.close();
      await pipeline.close();
      await online.close();
      await offline.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Headers of an administrator. */
export const ADMIN: object = { authorization: `Bearer ${TOKEN}` };

/** An event some seconds before `NOW`. */
export function payment(id: string, secondsAgo: number, more: object = {}): object {
  const at = new Date(NOW - secondsAgo * 1_000).toISOString();
  return { payment_id: id, card_id: "c1", account: 1, amount: 10, country: "BE", at, ...more };
}
