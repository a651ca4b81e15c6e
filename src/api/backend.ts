import type { ColumnTypeSpec } from "../definitions/value.ts";
import type { ConsistencyReport } from "../feature_store/check-consistency.ts";
import type { StoredDeadLetter } from "../feature_store/offline/offline-store.ts";
import type { AppliedPlan } from "../feature_store/registry/registry.ts";
import type { TrainingJobs } from "../feature_store/training-jobs.ts";
import type { TrainingManifest, TrainingSetRequest } from "../feature_store/training-set.ts";
import type { PushedEvents, PushOptions, PushResult } from "../ingestion/sources/http-push.ts";
import type { IngestionStatus } from "../ingestion/stream-ingestion.ts";
import type { LifecycleBackend } from "./lifecycle-backend.ts";

/** What the API asks of the write side, which lives in another thread. */
export interface ApiBackend extends LifecycleBackend, Omit<TrainingJobs, "closeTrainingJobs"> {
  /** Rejects with `SOURCE_UNKNOWN`, `BACK_PRESSURE`, `SOURCE_CLOSED`, `PUSH_TOO_LARGE`, `DECODE_FAILED`. */
  push(source: string, events: PushedEvents, options: PushOptions): Promise<PushResult>;
  trainingSet(
    service: string,
    request: TrainingSetRequest,
    format: "parquet" | "csv" | "arrow" | "rows",
  ): Promise<{
    readonly bytes: Uint8Array | null;
    readonly columns: readonly {
      readonly name: string;
      readonly kind: string;
      /** Of a list. */
      readonly item: ColumnTypeSpec | null;
    }[];
    readonly rows: readonly (readonly unknown[])[] | null;
    readonly manifest: TrainingManifest;
  }>;
  status(): Promise<{ readonly sources: readonly (IngestionStatus & { readonly clock: number | null })[] }>;
  deadLetters(filter: { readonly source?: string; readonly limit: number }): Promise<readonly StoredDeadLetter[]>;
  removeDeadLetters(ids: readonly number[]): Promise<void>;
  /**
   * Moves where a source is read on: to an end, a moment (epoch milliseconds), or the next offset of partitions by name.
   * Rejects with `SOURCE_IS_READ`, `RESET_UNSUPPORTED`, `RESET_INVALID`, and what its transport throws.
   */
  resetSource(
    source: string,
    to: "earliest" | "latest" | number | Readonly<Record<string, number>>,
    dryRun: boolean,
  ): Promise<readonly { readonly partition: string; readonly before: number | null; readonly after: number | null }[]>;
  /** Lets held replays deliver the events before `time` (epoch milliseconds); resolves when they are readable. */
  advanceTo(time: number): Promise<void>;
  release(): Promise<void>;
  /** The plan that was applied last; null before the first. */
  applied(): Promise<AppliedPlan | null>;
  /** Compares the hot store with history for a sample of entities of a view, or of every view. */
  checkConsistency(view: string | null, sample: number): Promise<readonly ConsistencyReport[]>;
}
