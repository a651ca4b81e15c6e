import type { Value } from "../definitions/value.ts";

/**
 * The common form of one event, whatever transport brought it: decoded, validated, with its three times and its
 * position. The position (source, partition, offset) serves to drop redeliveries and nothing else.
 */
export interface StreamMessage {
  /** The declared name of the stream or table source. */
  readonly source: string;
  /** The transport's partition: `0` of a Kafka topic, the content hash of a replayed file. */
  readonly partition: string;
  /** Grows strictly within a partition; the first may be 0. */
  readonly offset: number;
  /** The transport's message key, if it has one. */
  readonly key: Uint8Array | null;
  /** The decoded payload: one value per schema column, in declared order. */
  readonly payload: readonly Value[];
  /** From the payload; epoch milliseconds, UTC. */
  readonly eventTime: number;
  /** When the transport took it; epoch milliseconds, UTC. */
  readonly ingestedAt: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Why a message could not be decoded or validated. */
export interface DecodeFailure {
  /** `DECODE_FAILED`, `INVALID_VALUE` or `EVENT_TIME_IN_FUTURE`. */
  readonly code: string;
  /** What was found, where, and what was expected. */
  readonly reason: string;
}

/** A row in the schema's declared order, or why there is none. A row is an array, a failure is not. */
export type DecodedPayload = readonly Value[] | DecodeFailure;

/** A message as a transport delivers it, before decoding. */
export interface RawMessage {
  readonly partition: string;
  readonly offset: number;
  readonly key: Uint8Array | null;
  /**
   * Encoded bytes or text, or, from in-process sources, an object whose fields are named as the columns are. Null is a
   * tombstone of a compacted topic: it is no event, and only moves the position.
   */
  readonly value: Uint8Array | string | Readonly<Record<string, unknown>> | null;
  /** Epoch milliseconds; null where the transport does not know (files): then the event time stands in. */
  readonly ingestedAt: number | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Set by sources that decode themselves (CSV files, HTTP push): then `value` serves dead letters only. */
  readonly decoded?: DecodedPayload;
}

/** A message that could not become a {@link StreamMessage}: kept with everything that is needed to replay it. */
export interface DeadLetter {
  readonly source: string;
  readonly partition: string;
  readonly offset: number;
  /** A stable code, such as `DECODE_FAILED`, `INVALID_VALUE`, `EVENT_TIME_IN_FUTURE` or `ID_CONFLICT`. */
  readonly code: string;
  /** What was wrong and where, for a person. */
  readonly reason: string;
  /** The bytes as they were received. */
  readonly bytes: Uint8Array;
  /** Epoch milliseconds: when it was set aside. */
  readonly at: number;
}

/** One accepted push under an idempotency key: a second push under the key is answered from this and not applied. */
export interface AcceptedPush {
  readonly idempotencyKey: string;
  readonly partition: string;
  /** The offsets that its accepted events took. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** How many of its events were accepted. */
  readonly accepted: number;
  /** Events that were rejected, in the order they were sent. */
  readonly rejected: readonly RejectedEvent[];
  /** Epoch milliseconds; keys are kept for a window from here. */
  readonly at: number;
}

/** One event of a push that was not accepted. */
export interface RejectedEvent extends DecodeFailure {
  /** Its place in the push, from 0. */
  readonly index: number;
}

/** What a source hands to the pipeline at once: messages and dead letters of one partition, in position order. */
export interface MessageBatch {
  readonly source: string;
  readonly partition: string;
  readonly messages: readonly StreamMessage[];
  readonly deadLetters: readonly DeadLetter[];
  /** The last offset that the batch covers, dead letters included. */
  readonly lastOffset: number;
  /** Pushes that lie wholly in this batch: to be recorded in the transaction that commits it. */
  readonly pushes?: readonly AcceptedPush[];
  /** The transport's own position after the batch: to be recorded with `lastOffset`. */
  readonly cursor?: string;
  /** Messages that the source has fetched already and not handed out; left out: not known. */
  readonly behind?: number;
  /** Of the ownership under which it was fetched: under a later one it does not count. */
  readonly epoch?: number;
}
