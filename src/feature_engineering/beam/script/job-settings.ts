import type { FitSettings } from "./fit-settings.ts";

/** What a job's workers must know beside the plan: plain JSON, made by the launcher. */
export interface JobSettings {
  /** The sources of the job, in the order that messages name them by. */
  readonly sources: readonly SourceSettings[];
  /**
   * Numbers the job among those that write the same view versions: generations cover disjoint events, and their tiles
   * add up. It stays the same when a job goes on from a savepoint.
   */
  readonly generation: number;
  /** Of a job that fits a service, and writes no tiles. */
  readonly fit?: FitSettings;
}

export interface SourceSettings {
  readonly name: string;
  /** Only events whose moment (`ingested_at` column if declared, else the event time) is at or after it. Epoch ms. */
  readonly from: number | null;
  /** Only events whose moment is before it. Epoch milliseconds. */
  readonly until: number | null;
  /** Whether rows for the history table are wanted. */
  readonly history: boolean;
  /**
   * `text`: messages are records of a CSV file, and each partition has its header; `logged`: events as the cold store
   * keeps them, see `logged-line.ts`, which only fitting reads.
   */
  readonly cells: "json" | "text" | "logged";
  /** Cells that mean null besides the empty one; text only. */
  readonly nulls: readonly string[];
}
