/** The names of the diagnostics channels of the engine, and what is published on them. */

/** Published after each batch that was folded and written: {@link EngineBatchEvent}. */
export const ENGINE_BATCH_CHANNEL = "millrace:engine:batch";
/** Published while views are filled from the log, and when they are ready: {@link EngineRecoveryEvent}. */
export const ENGINE_RECOVERY_CHANNEL = "millrace:engine:recovery";

export interface EngineBatchEvent {
  readonly source: string;
  readonly events: number;
  readonly duplicates: number;
  readonly conflicts: number;
  /** Events that a view skipped because a key column was null, over all views. */
  readonly nullKeys: number;
  /** Values written to the hot store. */
  readonly writes: number;
  readonly commitSeconds: number;
  readonly foldSeconds: number;
  readonly writeSeconds: number;
  /** The source's clock after the batch; epoch milliseconds. */
  readonly clock: number;
  /** The views that the source's events are folded into. */
  readonly views: readonly string[];
  /** Event time of the newest event that was folded, epoch milliseconds; null if none was. */
  readonly newestEventTime: number | null;
}

export interface EngineRecoveryEvent {
  readonly source: string;
  readonly events: number;
  /** Events in (applied, committed] at the start. */
  readonly total: number;
  readonly done: boolean;
  readonly views: readonly string[];
  /** As far as the views are filled, epoch milliseconds; null before the first event, and by a wall clock. */
  readonly newestEventTime: number | null;
}
