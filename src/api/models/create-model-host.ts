import { randomUUID } from "node:crypto";
import { channel } from "node:diagnostics_channel";
import { isMillraceError } from "../../definitions/errors.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import type { FeatureStore, OnlineRead } from "../../feature_store/feature-store.ts";
import {
  PREDICTED_ROWS_CHANNEL,
  PREDICTION_CHANNEL,
  PREDICTION_START_CHANNEL,
  type PredictionEvent,
  type PredictionStartEvent,
} from "../channels.ts";
import { deadlineExceeded } from "./deadline-exceeded.ts";
import { fallbackPrediction } from "./fallback-prediction.ts";
import { folderSourceOf } from "./folder-model-source.ts";
import { inTime } from "./in-time.ts";
import { inferenceModel } from "./inference-model.ts";
import { createInferencePool } from "./inference-pool.ts";
import { keepWithinCache } from "./keep-within-cache.ts";
import { modelError } from "./model-errors.ts";
import type { ModelHost, Prediction, SoonRequest, WholeOptions, WholePrediction } from "./model-host.ts";
import type { ModelSource } from "./model-source.ts";
import { createModelVersions, type ModelVersions } from "./model-versions.ts";
import {
  createRowPredictor,
  type LargeBatch,
  type PredictedRows,
  type PredictRequest,
  type PredictStages,
} from "./predict-rows.ts";
import { predictWhole, type WholeRows } from "./predict-whole.ts";
import { predictedRows, predictedWhole } from "./predicted-rows.ts";
import type { PredictionLog } from "./prediction-log.ts";
import type { ServedModel } from "./served-model.ts";
import { wholeTurns } from "./whole-turns.ts";

/** As much of a pino logger as the host uses. */
export interface HostLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

export interface ModelHostOptions {
  readonly models: readonly ModelMeta[];
  readonly features: FeatureStore;
  /** How often new versions are looked for. */
  readonly pollSeconds: number;
  /** The most memory that loaded models may take; those used least recently are freed. One is always allowed. */
  readonly cacheBytes: number;
  /** Where the rows of models with a sample rate go. */
  readonly predictionLog?: PredictionLog;
  readonly log: HostLog;
  /** Wall clock; epoch milliseconds. */
  readonly now: () => number;
  /** Where a model's versions come from. Default: folders only. */
  readonly sourceOf?: (model: ModelMeta) => ModelSource;
  /** Threads for large batches. Default 1, started when first needed. */
  readonly inferenceThreads?: number;
  /**
   * Load models of up to 16 MiB into the first of these threads five seconds after they serve, so that not even the first
   * large batch waits for that. Default false.
   */
  readonly warmThreads?: boolean;
  /** Default 512 rows, of ONNX models 32. */
  readonly largeBatch?: LargeBatch;
}

/** Models above this size are in threads' memory only once a large batch came, bytes. */
const MOST_WARM_BYTES = 2 ** 24;

/** A start has more to do at first, milliseconds. */
const WARM_AFTER_MS = 5_000;
const NONE: readonly number[] = [];

const rowsChannel = channel(PREDICTED_ROWS_CHANNEL);
const predictionChannel = channel(PREDICTION_CHANNEL);
const startChannel = channel(PREDICTION_START_CHANNEL);

export function createModelHost(options: ModelHostOptions): ModelHost {
  const { features, log, now } = options;
  const large = options.largeBatch ?? { onnx: 32, others: 512 };
  const sourceOf = options.sourceOf ?? folderSourceOf;
  const pool = createInferencePool({ threads: options.inferenceThreads ?? 1 });
  const predictInTurn = wholeTurns(pool, large);
  const rowPredictor = createRowPredictor({ store: features, pool, large });
  const models = new Map(options.models.map((model) => [model.name, versionsOf(model)]));
  let timer: NodeJS.Timeout | null = null;
  let isClosed = false;

  function versionsOf(model: ModelMeta): ModelVersions {
    return createModelVersions({
      model,
      service: features.service(model.service.name),
      source: sourceOf(model),
      now,
      onLoaded: (slot) => {
        const { version, loadSeconds, sizeBytes } = slot;
        log.info(
          { model: model.name, version: version.version, seconds: loadSeconds, size_bytes: sizeBytes },
          "model version serves",
        );
        keepWithinCache(models.values(), slot, options.cacheBytes);
      },
      beforeServing: (served) => warmThreads(model, served),
      onFailed: ({ version, code, message }) =>
        log.warn({ model: model.name, version, code, reason: message }, "model version could not be loaded"),
    });
  }

  /** Where threads hold the version that serves, they load the next one before it does; what fails there fails later. */
  async function warmThreads({ name }: ModelMeta, served: ServedModel): Promise<void> {
    const next = inferenceModel(served);
    if (next === null) return;
    const before = models.get(name)?.serving?.resident ?? null;
    const held = before === null ? null : inferenceModel(before);
    if (held !== null) {
      if (pool.holds(held)) await pool.warm(next).catch(() => {});
    } else if (options.warmThreads === true && served.loaded.runner.sizeBytes <= MOST_WARM_BYTES) {
      const timer = setTimeout(() => void pool.warm(next).catch(() => {}), WARM_AFTER_MS);
      timer.unref();
    }
  }

  function get(name: string): ModelVersions {
    const found = models.get(name);
    if (found !== undefined) return found;
    throw modelError(
      "MODEL_UNKNOWN",
      `There is no model '${name}': declared are ${[...models.keys()].join(", ") || "none"}.`,
    );
  }

  async function answer(
    versions: ModelVersions,
    request: PredictRequest,
    stages: PredictStages,
  ): Promise<PredictedRows & { readonly version: string; readonly served: ServedModel }> {
    const acquired = request.slot ?? versions.acquire();
    const slot = acquired instanceof Promise ? await acquired : acquired;
    try {
      const rows = await rowPredictor.predict(slot.resident!, versions.model.service.name, request, stages);
      return { ...rows, version: slot.version.version, served: slot.resident! };
    } finally {
      if (request.slot === undefined) versions.release(slot);
    }
  }

  /** Does the work within the model's timeout; null if that passed. Publishes how it went. */
  async function measured<T extends { readonly version: string }>(
    versions: ModelVersions,
    rows: number,
    startedAt: number,
    deadline: number,
    work: (stages: PredictStages) => Promise<T>,
  ): Promise<T | null> {
    const { model } = versions;
    const stages: PredictStages = { features: 0, model: 0 };
    let outcome = "ok";
    let version: string | null = null;
    try {
      const working = work(stages);
      const until = model.timeoutMs === null ? deadline : Math.min(deadline, startedAt + model.timeoutMs);
      const done = until === Infinity ? await working : await inTime(working, until);
      // A fallback is for who still waits.
      if (done === null && until === deadline) throw deadlineExceeded();
      if (done === null) outcome = "DEADLINE_EXCEEDED";
      version = done?.version ?? null;
      return done;
    } catch (error) {
      outcome = isMillraceError(error) ? error.code : "INTERNAL";
      throw error;
    } finally {
      publishPrediction(model.name, version, rows, startedAt, stages, outcome);
    }
  }

  function predictSoon(name: string, request: SoonRequest, startedAt: number): boolean {
    const { rows, deadline, inContext = null, answered, failed } = request;
    const versions = models.get(name);
    const slot = versions === undefined || versions.isUnloaded ? null : versions.serving;
    if (versions === undefined || slot === null || slot.resident === null) return false;
    const { model } = versions;
    if (model.timeoutMs !== null) return false;
    const log = logOf(model);
    const chosen = log === null ? NONE : log.choose(model, rows.length);
    if (chosen.length > 0) {
      // What is logged is read apart from its turn.
      const { inContext: _inContext, answered: _answered, failed: _failed, ...rest } = request;
      predictAndLog(name, rest, startedAt, chosen).then(answered).catch(failed);
      return true;
    }
    const served = slot.resident;
    const stages: PredictStages = { features: 0, model: 0 };
    function ended(version: string | null, outcome: string): void {
      versions!.release(slot!);
      publishPrediction(name, version, rows.length, startedAt, stages, outcome);
    }
    function resolve(done: PredictedRows): void {
      const { version } = slot!.version;
      ended(version, "ok");
      if (rowsChannel.hasSubscribers) {
        rowsChannel.publish(predictedRows(model, served, done.features.rows, done.predictions));
      }
      const prediction = predictionOf(name, version, done);
      answered(log === null ? prediction : { ...prediction, id: randomUUID() });
    }
    function reject(error: unknown): void {
      ended(null, isMillraceError(error) ? error.code : "INTERNAL");
      failed(error);
    }
    const waits = rowPredictor.predictSoon(served, model.service.name, {
      request: deadline === undefined ? { rows } : { rows, deadline },
      stages,
      resolve: inContext === null ? resolve : (done) => inContext(() => resolve(done)),
      reject: inContext === null ? reject : (error) => inContext(() => reject(error)),
    });
    if (!waits) return false;
    // In memory, so at once; what was queued is not looked at before the end of this turn.
    void versions.acquire();
    if (startChannel.hasSubscribers) {
      startChannel.publish({ model: name, rows: rows.length } satisfies PredictionStartEvent);
    }
    return true;
  }

  const logOf = ({ logSampleRate }: ModelMeta): PredictionLog | null =>
    logSampleRate > 0 ? (options.predictionLog ?? null) : null;

  async function predict(name: string, request: PredictRequest, startedAt = performance.now()): Promise<Prediction> {
    const { model } = get(name);
    return predictAndLog(name, request, startedAt, logOf(model)?.choose(model, request.rows.length) ?? NONE);
  }

  /** `chosen` rows are logged. */
  async function predictAndLog(
    name: string,
    request: PredictRequest,
    startedAt: number,
    chosen: readonly number[],
  ): Promise<Prediction> {
    const versions = get(name);
    const { model } = versions;
    if (startChannel.hasSubscribers) {
      startChannel.publish({ model: name, rows: request.rows.length } satisfies PredictionStartEvent);
    }
    const read: OnlineRead[] = [];
    const logging = chosen.length === 0 ? request : { ...request, onRead: (part: OnlineRead) => read.push(part) };
    const done = await measured(versions, request.rows.length, startedAt, request.deadline ?? Infinity, (stages) =>
      answer(versions, logging, stages),
    );
    if (done === null) return fallbackPrediction(model, request.rows.length);
    const log = logOf(model);
    const id = log === null ? null : randomUUID();
    if (id !== null && chosen.length > 0) log!.offer(model, done.version, read, done.predictions, id, chosen);
    if (rowsChannel.hasSubscribers) {
      rowsChannel.publish(predictedRows(model, done.served, done.features.rows, done.predictions));
    }
    return { ...predictionOf(name, done.version, done), id };
  }

  async function answerWhole(name: string, rows: WholeRows, whole: WholeOptions = {}): Promise<WholePrediction> {
    const { startedAt = performance.now(), deadline = Infinity, slot: held } = whole;
    const versions = get(name);
    const { model } = versions;
    if (startChannel.hasSubscribers)
      startChannel.publish({ model: name, rows: rows.count } satisfies PredictionStartEvent);
    const done = await measured(versions, rows.count, startedAt, deadline, async (stages) => {
      const acquired = held ?? versions.acquire();
      const slot = acquired instanceof Promise ? await acquired : acquired;
      try {
        // A caller with a version of its own asks for one part after another: nothing of a turn is to be waited for.
        const answers =
          held === undefined
            ? await predictInTurn(slot.resident!, model, rows, stages)
            : await predictWhole(slot.resident!, model, pool, large, rows, stages);
        if (rowsChannel.hasSubscribers) rowsChannel.publish(predictedWhole(model, slot.resident!, rows, answers));
        return { answers, version: slot.version.version };
      } finally {
        if (held === undefined) versions.release(slot);
      }
    });
    if (done !== null) return { model: name, ...done, fallback: false };
    const { predictions } = fallbackPrediction(model, rows.count);
    return { model: name, version: null, answers: { kind: "rows", rows: predictions }, fallback: true };
  }

  async function poll(): Promise<void> {
    await Promise.all([...models.values()].map((versions) => versions.update("poll")));
    if (isClosed) return;
    timer = setTimeout(() => void poll(), options.pollSeconds * 1_000);
    timer.unref();
  }

  async function close(): Promise<void> {
    isClosed = true;
    if (timer !== null) clearTimeout(timer);
    await Promise.all([...models.values()].map((versions) => versions.close()));
    await pool.close();
  }

  return {
    start: poll,
    list: () => [...models.values()],
    get,
    async fitted(name) {
      const versions = get(name);
      const slot = await versions.acquire();
      const { fitted } = slot.resident!;
      versions.release(slot);
      return fitted;
    },
    predict,
    predictSoon,
    predictWhole: answerWhole,
    async refresh(name) {
      await Promise.all(
        (name === undefined ? [...models.values()] : [get(name)]).map((versions) => versions.update("told")),
      );
    },
    told(server, registered) {
      const named = [...models.values()].filter(({ model: { location } }) => {
        return location.location === "mlflow" && location.server === server && location.name === registered;
      });
      for (const versions of named) void versions.update("told");
      return named.map(({ model }) => model.name);
    },
    load: async (name) => get(name).load(),
    unload: async (name) => get(name).unload(),
    rollback: async (name) => get(name).rollback(),
    goBack: async (name, version) => get(name).goBack(version),
    pin: async (name, version) => get(name).pin(version),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function publishPrediction(
  model: string,
  version: string | null,
  rows: number,
  startedAt: number,
  stages: PredictStages,
  outcome: string,
): void {
  if (!predictionChannel.hasSubscribers) return;
  const seconds = (performance.now() - startedAt) / 1_000;
  predictionChannel.publish({ model, version, rows, seconds, stages, outcome } satisfies PredictionEvent);
}

function predictionOf(model: string, version: string, { predictions, features }: PredictedRows): Prediction {
  const { asOf, headOverlap } = features;
  return { model, version, predictions, features, asOf, headOverlap, fallback: false, id: null };
}
