import type { AcceptedPush, RawMessage } from "./stream-message.ts";

/** Messages of one partition, in offset order. */
export interface RawBatch {
  readonly partition: string;
  /** May be empty: then, without `lastOffset`, there is nothing to do and the loop fetches again. */
  readonly messages: readonly RawMessage[];
  /** The last offset that the batch covers, if it is beyond the last message's. */
  readonly lastOffset?: number;
  /** Pushes that lie wholly in this batch; see {@link AcceptedPush}. */
  readonly pushes?: readonly AcceptedPush[];
  /**
   * Where the transport goes on after the batch, in its own words: of sources whose offsets are counted here because
   * the transport's positions are no numbers. Committed with the batch, and given back by {@link ResumePosition}.
   */
  readonly cursor?: string;
  /** Messages that are fetched already and come in the next batches, of whatever partition. Left out: not known. */
  readonly behind?: number;
}

/** How far a partition is behind its head, by what the transport knows; null where it does not. */
export interface PartitionLag {
  readonly partition: string;
  readonly messages: number | null;
  readonly seconds: number | null;
}

export interface MessageSourceCapabilities {
  /** The transport's own positions grow and survive; false where an internal partition stands in (Pub/Sub, HTTP). */
  readonly monotonePositions: boolean;
  /** False for sources that come to an end, such as files. */
  readonly endless: boolean;
}

/** Where a partition goes on. */
export interface ResumePoint {
  /** The last committed offset; −1 if none is. */
  readonly offset: number;
  /** The cursor that came with it; null if the source gave none. */
  readonly cursor: string | null;
  /** Of the ownership that was taken: what is fetched under it counts under it alone. */
  readonly epoch?: number;
}

/** Takes a partition over and says where it goes on; with `look` only says so, whoever owns it. */
export type ResumePosition = (partition: string, how?: "look") => Promise<ResumePoint>;

/**
 * The port of a transport: one adapter per file in `sources/`. The ingestion loop calls it from one place, never two
 * methods of `open`, `fetch`, `close` at a time; `checkpoint` and `lag` may come while a fetch waits.
 *
 * Errors: of kind `operational`, or any that Millrace did not make, are retried with backoff; others stop the loop.
 */
export interface MessageSource {
  readonly capabilities: MessageSourceCapabilities;
  /** Connects. `resume` is kept and asked for each partition that is taken over, now or later. */
  open(resume: ResumePosition): Promise<void>;
  /**
   * Waits until there is something and gives up to `maxMessages` messages of one partition; null when the source has
   * ended. When `signal` aborts while it waits, it rejects with the signal's reason and has consumed nothing.
   */
  fetch(maxMessages: number, signal: AbortSignal): Promise<RawBatch | null>;
  /** Everything up to `offset` is handled for good: lets the transport forget it. Never moves backwards. */
  checkpoint(partition: string, offset: number): Promise<void>;
  /**
   * Another process has taken the partition over: what was fetched of it and not handed on is dropped. If it is still
   * this source's, it is resumed anew. Left out by sources that are alone.
   */
  lost?(partition: string): void;
  /** The lag of every partition that this process reads, idle ones too. */
  lag(): Promise<readonly PartitionLag[]>;
  /** Idempotent. What was fetched and not checkpointed is delivered again after the next `open`. */
  close(): Promise<void>;
}
