import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { AcceptedPush, DeadLetter, EventLog, LoggedEvent } from "../../feature_engineering/engine/event-log.ts";

/** What the cold store must know of a source to keep its events. */
export interface SourceTable {
  readonly source: string;
  /** In declared order. */
  readonly columns: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  /** True if events carry an id: equal id and event time are then one event. */
  readonly hasId: boolean;
}

export interface HistoryQuery {
  readonly source: string;
  /** The columns that hold the entity's key, in the entity's declared order. */
  readonly keyColumns: readonly string[];
  /** Only events with one of these keys; null for all. Events with a null in a key column never come. */
  readonly keys: readonly (readonly Value[])[] | null;
  /** Only events with `from <= event_time`; null for no bound. Epoch milliseconds. */
  readonly from: number | null;
  /** Only events with `event_time < before`; null for no bound. Epoch milliseconds. */
  readonly before: number | null;
  /**
   * Within one key: by the moment from which a reader at t counts the event, `event_time + 1`, or under
   * `ingested_at` the larger of that and `ingested_at`; then by partition and offset.
   */
  readonly knowledge: "event_time" | "ingested_at";
}

export interface StoredDeadLetter extends DeadLetter {
  readonly id: number;
}

export interface OfflineStoreCapabilities {
  readonly persistent: boolean;
  readonly multiProcess: boolean;
}

/** The cold store: the log of all events, which is the truth, with positions, dead letters and the registry's documents. */
export interface OfflineStore extends EventLog {
  readonly capabilities: OfflineStoreCapabilities;
  /**
   * Makes the source's table, or checks that stored data fits: new nullable columns are added; anything else that does
   * not fit is refused with `SCHEMA_INCOMPATIBLE` and the reason.
   */
  prepareSource(table: SourceTable): Promise<void>;
  /** Events grouped by key (all of one key together, keys in any order), each group in the order of the query. */
  history(query: HistoryQuery): AsyncIterable<readonly LoggedEvent[]>;
  /** The recorded pushes of a source under idempotency keys, taken at or after `since`; null where there is none. */
  seenPushes(source: string, keys: readonly string[], since: number): Promise<readonly (AcceptedPush | null)[]>;
  /** Newest first. */
  deadLetters(filter: { readonly source?: string; readonly limit: number }): Promise<readonly StoredDeadLetter[]>;
  removeDeadLetters(ids: readonly number[]): Promise<void>;
  /** Registry documents by kind and name (JSON text), in the order they were put. */
  putDocument(kind: string, name: string, json: string): Promise<void>;
  documents(kind: string): Promise<readonly { readonly name: string; readonly json: string; readonly putAt: number }[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
