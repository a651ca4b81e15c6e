import type { PredictionReport } from "../feature_store/check-predictions.ts";
import type { EntityErasure } from "../feature_store/erase-entity.ts";
import type { PredictionFilter, PredictionRecord, StoredPrediction } from "../feature_store/offline/offline-store.ts";
import type { OutcomeReport } from "../feature_store/outcomes/outcome-report.ts";
import type { PruneReport, PruneRequest } from "../feature_store/prune.ts";
import type { PlanVersion } from "../feature_store/registry/plan-versions.ts";
import type { ServedModelRecord } from "../feature_store/registry/served-models.ts";

/** An erasure as it is shown: without the key. */
export interface ErasureRecord {
  readonly id: number;
  readonly entity: string;
  /** Epoch milliseconds. */
  readonly until: number;
  readonly pending: boolean;
}

export interface BackfillRequest {
  readonly kind: "materialize" | "backfill";
  /** Null: every view, or those of `source`. */
  readonly views: readonly string[] | null;
  /** The source that `files` belong to. */
  readonly source: string | null;
  /** Absolute paths, folders or patterns: loaded into the source's history first. */
  readonly files: readonly string[];
}

export interface BackfillView {
  readonly view: string;
  /** Entities done, of how many; null until they are counted. */
  readonly entities: number;
  readonly total: number | null;
  /** Values that differed from history's. */
  readonly written: number;
  readonly unchanged: number;
  readonly done: boolean;
}

export interface BackfillJob {
  readonly id: string;
  readonly kind: "materialize" | "backfill";
  readonly state: "running" | "done" | "failed" | "stopped";
  readonly source: string | null;
  readonly files: readonly string[];
  /** Events that the files added to history. */
  readonly loaded: number;
  readonly deadLetters: number;
  readonly views: readonly BackfillView[];
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly updatedAt: number;
  readonly error: string | null;
}

/** What the API asks about the life of stored data. A type, not an interface: other threads are called by it too. */
export type LifecycleBackend = {
  /** Erases one entity everywhere. Rejects with `ENTITY_UNKNOWN`, `ENTITY_KEY_INVALID`. */
  readonly erase: (entity: string, key: Readonly<Record<string, unknown>>) => Promise<EntityErasure>;
  /** Every erasure, by id. */
  readonly erasures: () => Promise<readonly ErasureRecord[]>;
  /** Starts a job, or goes on with one. Rejects with `VIEW_UNKNOWN`, `SOURCE_UNKNOWN`. */
  readonly backfill: (request: BackfillRequest) => Promise<BackfillJob>;
  readonly backfills: () => Promise<readonly BackfillJob[]>;
  /** Keeps sampled predictions, off the path of requests. */
  readonly appendPredictions: (records: readonly PredictionRecord[]) => Promise<void>;
  /** Newest first. */
  readonly predictions: (filter: PredictionFilter) => Promise<readonly StoredPrediction[]>;
  /** Computes logged predictions again from exactly the events that were applied then. Newest first. */
  readonly checkPredictions: (filter: PredictionFilter) => Promise<PredictionReport>;
  /** Looks at what became of the predictions of a service's models; null: of all. */
  readonly outcomes: (service: string | null) => Promise<readonly OutcomeReport[]>;
  /** Every plan that was applied, oldest first. */
  readonly planVersions: () => Promise<readonly PlanVersion[]>;
  /** Drops key spaces of view versions that are in none of the last plans. */
  readonly prune: (request: PruneRequest) => Promise<PruneReport>;
  readonly servedModels: () => Promise<readonly ServedModelRecord[]>;
  /** Notes that a version of a model began to serve. */
  readonly recordServed: (model: string, version: string) => Promise<void>;
  /** Rejects with `BACKFILL_UNKNOWN`. */
  readonly stopBackfill: (id: string) => Promise<BackfillJob>;
};
