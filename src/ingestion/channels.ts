/** The names of the diagnostics channels of ingestion, and what is published on them. */

/** Published after each batch whose handler resolved: {@link IngestionBatchEvent}. */
export const INGESTION_BATCH_CHANNEL = "millrace:ingestion:batch";
/** Published when lag was sampled: {@link IngestionLagEvent}. */
export const INGESTION_LAG_CHANNEL = "millrace:ingestion:lag";

export interface IngestionBatchEvent {
  readonly source: string;
  readonly partition: string;
  readonly messages: number;
  readonly deadLetters: number;
  /** Dead letters per code. */
  readonly deadLetterCodes: Readonly<Record<string, number>>;
  readonly lastOffset: number;
  /** Epoch milliseconds of the newest event in the batch; null if all were dead letters. */
  readonly lastEventTime: number | null;
  /** Seconds spent decoding and validating. */
  readonly decodeSeconds: number;
  /** Seconds from the hand-over until the handler resolved, retries included. */
  readonly handleSeconds: number;
}

/** How far one partition is behind. */
export interface PartitionStatus {
  readonly partition: string;
  /** The last offset that was handled and checkpointed in this run; null before the first. */
  readonly lastOffset: number | null;
  /** Epoch milliseconds of the newest event handled in this run; null before the first. */
  readonly lastEventTime: number | null;
  /** Messages not handled yet; null if the transport cannot tell. */
  readonly lagMessages: number | null;
  /** Seconds of event time behind; null if unknown. */
  readonly lagSeconds: number | null;
}

export interface IngestionLagEvent {
  readonly source: string;
  /** Those that are read, and once more, with no lag known, those that are not read any more. */
  readonly partitions: readonly PartitionStatus[];
}
