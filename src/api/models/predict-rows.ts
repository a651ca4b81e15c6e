import { channel } from "node:diagnostics_channel";
import { setImmediate as nextTurn } from "node:timers/promises";
import { isMillraceError, millraceError } from "../../definitions/errors.ts";
import type { Value } from "../../definitions/value.ts";
import type { FeatureStore, LookupRow, OnlineFeatures, OnlineRead } from "../../feature_store/feature-store.ts";
import { PREDICTION_BATCH_CHANNEL, PREDICTION_QUEUED_CHANNEL, type PredictionBatchEvent } from "../channels.ts";
import { deadlineExceeded } from "./deadline-exceeded.ts";
import { inferenceModel } from "./inference-model.ts";
import type { InferencePool } from "./inference-pool.ts";
import type { PredictionRow } from "./model-output.ts";
import type { ModelAnswer } from "./model-runner.ts";
import { narrowDown } from "./narrow-down.ts";
import type { ServedModel } from "./served-model.ts";
import type { VersionSlot } from "./version-loader.ts";

export interface PredictRequest {
  /** One lookup per row. */
  readonly rows: readonly LookupRow[];
  /** The moment t to read features at, epoch milliseconds. Default: the sources' clock, taken once. */
  readonly asOf?: number;
  /** Refuse if an event at or after t was applied. Default false. */
  readonly exact?: boolean;
  /** A version that the caller has acquired and will release: for several calls that one version must answer. */
  readonly slot?: VersionSlot;
  readonly onRead?: (read: OnlineRead) => void;
  /** When nobody waits for the answer any more, on the monotonic clock, milliseconds. Default: never. */
  readonly deadline?: number;
  /** True once the client has left: what is not read yet is then given up. Default: never. */
  readonly isGone?: () => boolean;
}

/** Time spent, in seconds. */
export interface PredictStages {
  features: number;
  model: number;
}

export interface PredictedRows {
  readonly predictions: readonly PredictionRow[];
  readonly features: OnlineFeatures;
}

/** From how many rows on a batch leaves the calling thread. */
export interface LargeBatch {
  /** ONNX Runtime is handed whole batches: it blocks the thread that calls it. */
  readonly onnx: number;
  readonly others: number;
}

export interface RowPredictorOptions {
  readonly store: FeatureStore;
  readonly pool: InferencePool;
  readonly large: LargeBatch;
}

/** A request that waits for the end of the turn. */
export interface WaitingRequest {
  readonly request: PredictRequest;
  readonly stages: PredictStages;
  readonly resolve: (rows: PredictedRows) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Reads the features of all rows of a request at one moment, with the fitted state of the version, and predicts.
 *
 * Small requests wait for the end of the event loop's turn and then share one read of the hot store and one call of the
 * model with whatever else came in that turn. Large ones are read in chunks between which other requests are served, and
 * predicted by the pool's threads. Work past its deadline is dropped before it is read and before it is predicted.
 *
 * @throws `DEADLINE_EXCEEDED`, what `getOnlineFeatures` and the model throw
 */
export interface RowPredictor {
  predict(served: ServedModel, service: string, request: PredictRequest, stages: PredictStages): Promise<PredictedRows>;
  /** As `predict`, and what comes of it is told instead of promised. False: the request is too large to share a turn. */
  predictSoon(served: ServedModel, service: string, waiting: WaitingRequest): boolean;
}

interface Turn {
  readonly served: ServedModel;
  readonly service: string;
  readonly waiting: WaitingRequest[];
}

/** Rows that are read and predicted before other work of the thread gets its turn, and the most of one shared batch. */
const CHUNK_ROWS = 64;

/** Of a batch that a scoring server refuses: enough to find two wrong rows of 64. */
const MOST_ATTEMPTS = 24;

const queued = channel(PREDICTION_QUEUED_CHANNEL);
const together = channel(PREDICTION_BATCH_CHANNEL);

export function createRowPredictor({ store, pool, large }: RowPredictorOptions): RowPredictor {
  /** By version, what came in this turn of the event loop. */
  let turns = new Map<ServedModel, Turn>();

  function endTurn(): void {
    const ended = turns;
    turns = new Map();
    for (const { served, service, waiting } of ended.values()) {
      for (const batch of batchesOf(waiting)) void predictBatch(served, service, batch);
    }
  }

  function atEndOfTurn(served: ServedModel, service: string, one: WaitingRequest): void {
    if (turns.size === 0) setImmediate(endTurn);
    let turn = turns.get(served);
    if (turn === undefined) {
      turn = { served, service, waiting: [] };
      turns.set(served, turn);
    }
    turn.waiting.push(one);
    if (queued.hasSubscribers) queued.publish(one);
  }

  const isHere = (served: ServedModel, rows: number): boolean =>
    rows < (served.loaded.flavor === "onnx" ? large.onnx : large.others);

  /** One of them may be wrong: then the others are predicted without it, and only that one fails. */
  async function predictBatch(served: ServedModel, service: string, batch: readonly WaitingRequest[]): Promise<void> {
    try {
      await predictTogether(served, service, batch);
    } catch (error) {
      const isElsewhere = served.loaded.flavor === "python_function";
      await narrowDown(batch, error, {
        attempt: (part) => predictTogether(served, service, part),
        reject: (one, why) => one.reject(why),
        // What a server refuses altogether would else be put to it row by row.
        attempts: isElsewhere && isMillraceError(error) && error.code === "MODEL_RUN_FAILED" ? MOST_ATTEMPTS : Infinity,
      });
    }
  }

  /** Rejects before any of them has its answer. */
  async function predictTogether(
    served: ServedModel,
    service: string,
    batch: readonly WaitingRequest[],
  ): Promise<void> {
    const current = batch.filter(isInTime);
    if (current.length === 0) return;
    const { request, resolve } = current[0]!;
    const rows = current.length === 1 ? request.rows : current.flatMap((one) => one.request.rows);
    const started = performance.now();
    const features = await store.getOnlineFeatures(service, { ...request, rows, fitted: served.fitted });
    const read = performance.now();
    for (const { stages } of current) stages.features = (read - started) / 1_000;
    if (!current.every(isInTime)) {
      // Reading took long. What is left is small, and is read again.
      const left = current.filter((one) => !isPast(one.request, read));
      if (left.length > 0) await predictBatch(served, service, left);
      return;
    }
    const predictions = toPredictions(served, await predictHere(served, features.rows));
    const seconds = (performance.now() - read) / 1_000;
    for (const { stages } of current) stages.model = seconds;
    if (current.length > 1 && together.hasSubscribers) {
      together.publish({
        requests: current,
        rows: rows.length,
        seconds: (performance.now() - started) / 1_000,
      } satisfies PredictionBatchEvent);
    }
    if (current.length === 1) resolve({ predictions, features });
    else share(current, { predictions, features });
  }

  async function predictLarge(
    served: ServedModel,
    service: string,
    request: PredictRequest,
    stages: PredictStages,
  ): Promise<PredictedRows> {
    const { rows } = request;
    const inThread = isHere(served, rows.length);
    const started = performance.now();
    const parts: OnlineFeatures[] = [];
    const answers: Promise<readonly ModelAnswer[]>[] = [];
    let asOf = request.asOf;
    for (let from = 0; from < rows.length; from += CHUNK_ROWS) {
      const before = performance.now();
      if (isPast(request, before)) throw deadlineExceeded();
      if (request.isGone?.() === true) throw millraceError("CLIENT_GONE", "The client left before it was answered.");
      const features = await store.getOnlineFeatures(service, {
        ...request,
        rows: rows.slice(from, from + CHUNK_ROWS),
        ...(asOf === undefined ? {} : { asOf }),
        fitted: served.fitted,
      });
      asOf = features.asOf;
      parts.push(features);
      stages.features += (performance.now() - before) / 1_000;
      if (isPast(request, performance.now())) throw deadlineExceeded();
      const answer = inThread ? predictHere(served, features.rows) : predictAway(served, features, pool);
      // Awaited below, after the other chunks were read: a failure must not count as unhandled until then.
      answer.catch(() => {});
      answers.push(answer);
      await nextTurn();
    }
    const predictions = (await Promise.all(answers)).flatMap((part) => toPredictions(served, part));
    stages.model = (performance.now() - started) / 1_000 - stages.features;
    return { predictions, features: joined(parts) };
  }

  function predictSoon(served: ServedModel, service: string, waiting: WaitingRequest): boolean {
    const { length } = waiting.request.rows;
    if (length > CHUNK_ROWS || !isHere(served, length)) return false;
    atEndOfTurn(served, service, waiting);
    return true;
  }

  return {
    predictSoon,
    predict: (served, service, request, stages) =>
      new Promise((resolve, reject) => {
        if (predictSoon(served, service, { request, stages, resolve, reject })) return;
        predictLarge(served, service, request, stages).then(resolve, reject);
      }),
  };
}

/** What may be read together: of one moment, with one strictness, each told of its own reads, within the bound of rows. */
function batchesOf(waiting: readonly WaitingRequest[]): (readonly WaitingRequest[])[] {
  if (waiting.length === 1) return [waiting];
  const batches: WaitingRequest[][] = [];
  const open = new Map<string, { readonly batch: WaitingRequest[]; rows: number }>();
  for (const one of waiting) {
    const { asOf, exact, onRead, rows } = one.request;
    if (onRead !== undefined) {
      batches.push([one]);
      continue;
    }
    const id = `${asOf ?? ""} ${exact === true}`;
    const known = open.get(id);
    if (known !== undefined && known.rows + rows.length <= CHUNK_ROWS) {
      known.batch.push(one);
      known.rows += rows.length;
    } else {
      const batch = [one];
      batches.push(batch);
      open.set(id, { batch, rows: rows.length });
    }
  }
  return batches;
}

function isPast({ deadline }: PredictRequest, now: number): boolean {
  return deadline !== undefined && now > deadline;
}

/** Refuses what is not. */
function isInTime({ request, reject }: WaitingRequest): boolean {
  if (request.deadline === undefined || performance.now() <= request.deadline) return true;
  reject(deadlineExceeded());
  return false;
}

/** Gives each request its own rows. */
function share(batch: readonly WaitingRequest[], { predictions, features }: PredictedRows): void {
  const { rows, statuses, headOverlap, readings } = features;
  const lookups = readings.length / rows.length;
  let from = 0;
  for (const { request, resolve } of batch) {
    const to = from + request.rows.length;
    resolve({
      predictions: predictions.slice(from, to),
      features: {
        ...features,
        rows: rows.slice(from, to),
        statuses: statuses.slice(from, to),
        headOverlap: headOverlap.slice(from, to),
        readings: readings.slice(from * lookups, to * lookups),
      },
    });
    from = to;
  }
}

async function predictHere(served: ServedModel, rows: readonly (readonly Value[])[]): Promise<readonly ModelAnswer[]> {
  const { predictRow, predict } = served.prepared;
  return rows.length === 1 && predictRow !== null ? [predictRow(rows[0]!)] : predict(rows);
}

async function predictAway(
  served: ServedModel,
  features: OnlineFeatures,
  pool: InferencePool,
): Promise<readonly ModelAnswer[]> {
  const model = inferenceModel(served);
  if (model === null) return predictHere(served, features.rows);
  try {
    return await pool.predict(model, features.rows);
  } catch (error) {
    // The folder went or changed since: the model in memory is still the version that answers.
    if (error instanceof Error && "code" in error && String(error.code).startsWith("MODEL_")) {
      if (error.code !== "MODEL_INPUT_INVALID") return predictHere(served, features.rows);
    }
    throw error;
  }
}

function toPredictions({ toPrediction }: ServedModel, answers: readonly ModelAnswer[]): PredictionRow[] {
  return answers.length === 1 ? [toPrediction(answers[0]!)] : answers.map(toPrediction);
}

function joined(parts: readonly OnlineFeatures[]): OnlineFeatures {
  return {
    ...parts[0]!,
    rows: parts.flatMap((part) => part.rows),
    statuses: parts.flatMap((part) => part.statuses),
    headOverlap: parts.flatMap((part) => part.headOverlap),
    readings: parts.flatMap((part) => part.readings),
  };
}
