import { setImmediate as nextTurn } from "node:timers/promises";
import type { Value } from "../../definitions/value.ts";
import type { FeatureStore, OnlineFeatures, OnlineRead } from "../../feature_store/feature-store.ts";
import type { InferencePool } from "./inference-pool.ts";
import type { PredictionRow } from "./model-output.ts";
import type { ModelAnswer } from "./model-runner.ts";
import type { VersionSlot } from "./model-versions.ts";
import type { ServedModel } from "./served-model.ts";

export interface PredictRequest {
  /** One lookup per row: entity keys and request columns by name. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** The moment t to read features at, epoch milliseconds. Default: the sources' clock, taken once. */
  readonly asOf?: number;
  /** Refuse if an event at or after t was applied. Default false. */
  readonly exact?: boolean;
  /** A version that the caller has acquired and will release: for several calls that one version must answer. */
  readonly slot?: VersionSlot;
  readonly onRead?: (read: OnlineRead) => void;
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

/** Rows that are read and predicted before other work of the thread gets its turn. */
const CHUNK_ROWS = 64;

/**
 * Reads the features of all rows at one moment, with the fitted state of this version, and predicts. Large batches are
 * read in chunks between which other requests are served, and predicted by the pool's threads.
 */
export async function predictRows(
  served: ServedModel,
  service: string,
  store: FeatureStore,
  pool: InferencePool,
  large: LargeBatch,
  request: PredictRequest,
  stages: PredictStages,
): Promise<PredictedRows> {
  const { fitted } = served;
  const { rows } = request;
  const inThread = rows.length < (served.loaded.flavor === "onnx" ? large.onnx : large.others);
  const started = performance.now();
  if (rows.length <= CHUNK_ROWS) {
    const features = await store.getOnlineFeatures(service, { ...request, fitted });
    const read = performance.now();
    stages.features = (read - started) / 1_000;
    const predictions = toPredictions(
      served,
      inThread ? await predictHere(served, features.rows) : await predictAway(served, features, pool),
    );
    stages.model = (performance.now() - read) / 1_000;
    return { predictions, features };
  }
  const parts: OnlineFeatures[] = [];
  const answers: Promise<readonly ModelAnswer[]>[] = [];
  let asOf = request.asOf;
  for (let from = 0; from < rows.length; from += CHUNK_ROWS) {
    const before = performance.now();
    const chunk = {
      ...request,
      rows: rows.slice(from, from + CHUNK_ROWS),
      ...(asOf === undefined ? {} : { asOf }),
      fitted,
    };
    const features = await store.getOnlineFeatures(service, chunk);
    asOf = features.asOf;
    parts.push(features);
    stages.features += (performance.now() - before) / 1_000;
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

async function predictHere(served: ServedModel, rows: readonly (readonly Value[])[]): Promise<readonly ModelAnswer[]> {
  const { predictRow, predict } = served.prepared;
  return rows.length === 1 && predictRow !== null ? [predictRow(rows[0]!)] : predict(rows);
}

async function predictAway(
  served: ServedModel,
  features: OnlineFeatures,
  pool: InferencePool,
): Promise<readonly ModelAnswer[]> {
  const { folder } = served;
  if (folder === null) return predictHere(served, features.rows);
  const columns = features.columns.map((column) => column.name);
  try {
    return await pool.predict({ folder, etag: served.version.etag, columns }, features.rows);
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
  };
}
