import type { FittedState } from "../../feature_engineering/transforms/fitted-state.ts";
import type { OnlineFeatures } from "../../feature_store/feature-store.ts";
import type { PredictionRow } from "./model-output.ts";
import type { ModelVersions } from "./model-versions.ts";
import type { PredictRequest } from "./predict-rows.ts";
import type { WholeAnswers, WholeRows } from "./predict-whole.ts";
import type { VersionSlot } from "./version-loader.ts";

export interface Prediction {
  readonly model: string;
  /** The version that answered; null if the declared fallback did. */
  readonly version: string | null;
  /** Per row, by declared output column. */
  readonly predictions: readonly PredictionRow[];
  /** What the model read; null for a fallback. */
  readonly features: OnlineFeatures | null;
  /** t, epoch milliseconds; null for a fallback. */
  readonly asOf: number | null;
  /** Per row: an event at or after t was applied, so a window may hold more than it should. */
  readonly headOverlap: readonly boolean[];
  /** True if the model did not answer in time and the declared fallback stands in. */
  readonly fallback: boolean;
  /** What an outcome may name it by; null where no row of the model is logged. */
  readonly id: string | null;
}

/** `slot` and `deadline` as in `PredictRequest`; `startedAt` as in `predict`. */
export interface WholeOptions {
  readonly startedAt?: number;
  readonly slot?: VersionSlot;
  readonly deadline?: number;
}

/** A request whose answer is told. */
export interface SoonRequest extends Pick<PredictRequest, "rows" | "deadline"> {
  /** Runs what is done for it alone where the request came; null: anywhere. Default: null. */
  readonly inContext?: ((work: () => void) => void) | null;
  readonly answered: (prediction: Prediction) => void;
  readonly failed: (error: unknown) => void;
}

/** The answer to rows that came whole. */
export interface WholePrediction {
  readonly model: string;
  /** The version that answered; null if the declared fallback did. */
  readonly version: string | null;
  readonly answers: WholeAnswers;
  /** True if the model did not answer in time and the declared fallback stands in. */
  readonly fallback: boolean;
}

/** Serves the newest good version of every declared model. */
export interface ModelHost {
  /** Loads the newest version of every model, then looks for newer ones. A model that cannot be loaded stops nothing. */
  start(): Promise<void>;
  list(): readonly ModelVersions[];
  /** @throws `MODEL_UNKNOWN` */
  get(name: string): ModelVersions;
  /** What the transforms of the model's service learned, of the serving version. @throws `MODEL_UNKNOWN`, `MODEL_NOT_READY` */
  fitted(name: string): Promise<FittedState | null>;
  /**
   * Reads the features of the rows and predicts, all with one version. `startedAt` (default: now) is the request's
   * arrival on the monotonic clock, from which the model's timeout counts.
   * @throws `MODEL_UNKNOWN`, `MODEL_NOT_READY`, `DEADLINE_EXCEEDED`, `MODEL_…`, and what `getOnlineFeatures` throws
   */
  predict(name: string, request: PredictRequest, startedAt?: number): Promise<Prediction>;
  /**
   * As `predict` for few rows, and tells what comes of it, without promises. False: nothing was begun, since it is none
   * of the plain cases (a version in memory, no timeout of the model): ask `predict`.
   */
  predictSoon(name: string, request: SoonRequest, startedAt: number): boolean;
  /**
   * Predicts rows that came whole, with all columns that the service would make: nothing is looked up or transformed,
   * and the prediction log, which is checked against history, does not keep them.
   * @throws `MODEL_UNKNOWN`, `MODEL_NOT_READY`, `DEADLINE_EXCEEDED`, `MODEL_…`
   */
  predictWhole(name: string, rows: WholeRows, options?: WholeOptions): Promise<WholePrediction>;
  /** Looks for new versions now, of one model or of all; what proved bad is not tried again. */
  refresh(name?: string): Promise<void>;
  /**
   * A registry said that a registered model changed: looks for new versions of the models that come from it, in the
   * background, and gives their names.
   */
  told(server: string, registered: string): readonly string[];
  /** Looks for new versions now, also tries again what proved bad, and brings the model into memory. @throws `MODEL_UNKNOWN`, `MODEL_NOT_READY` */
  load(name: string): Promise<void>;
  /** Frees the model's memory; it answers nothing until `load`. @throws `MODEL_UNKNOWN` */
  unload(name: string): Promise<void>;
  /** @throws `MODEL_UNKNOWN`, `MODEL_NO_PREVIOUS` */
  rollback(name: string): Promise<void>;
  /** What `rollback` does, to a version that another process went back to. @throws `MODEL_UNKNOWN`, `MODEL_VERSION_UNKNOWN`, load errors */
  goBack(name: string, version: string): Promise<void>;
  /** Null goes back to the newest version. @throws `MODEL_UNKNOWN`, `MODEL_VERSION_UNKNOWN`, load errors */
  pin(name: string, version: string | null): Promise<void>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
