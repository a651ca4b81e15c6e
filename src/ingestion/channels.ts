/** The names of the diagnostics channels of ingestion, and what is published on them. */

/** Published after each batch whose handler resolved: {@link IngestionBatchEvent}. */
export const INGESTION_BATCH_CHANNEL = "millrace:ingestion:batch";
/**
 * Run around the handling of one batch, its retries and its checkpoint, so that what subscribers bind to it is there in
 * all that the batch causes: {@link IngestionWorkEvent}. One {@link IngestionWorkEndEvent} follows, whatever happens.
 */
export const INGESTION_WORK_CHANNEL = "millrace:ingestion:work";
/** Published when the handling of a batch ended: {@link IngestionWorkEndEvent}. */
export const INGESTION_WORK_END_CHANNEL = "millrace:ingestion:work-end";
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

export interface IngestionWorkEvent {
  readonly source: string;
  readonly partition: string;
  readonly messages: number;
  readonly deadLetters: number;
  /** Seconds from asking the transport until it gave the batch, waiting for events included. */
  readonly fetchSeconds: number;
  readonly decodeSeconds: number;
  /** Seconds that the decoded batch waited for those before it. */
  readonly queueSeconds: number;
  /** The W3C `traceparent` headers of its messages, at most `limit` different ones. */
  readonly traceparents: (limit: number) => readonly string[];
}

export interface IngestionWorkEndEvent {
  readonly source: string;
  /** False: it was given up, and comes again. */
  readonly isHandled: boolean;
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
