import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { AcceptedPush, DeadLetter, EventLog, LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import type { PartitionLeases } from "./partition-leases.ts";
import type { PointInTimeReader } from "./point-in-time.ts";

/** What the cold store must know of a source to keep its events. */
export interface SourceTable {
  readonly source: string;
  /** In declared order. */
  readonly columns: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  /** True if events carry an id: equal id and event time are then one event. */
  readonly hasId: boolean;
  /**
   * The key columns of each view over the source: what `history` asks for. A store may keep an index for each; it keeps
   * those that it has. Not a part of what stored data must fit.
   */
  readonly keys?: readonly (readonly string[])[];
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

export interface EntityKeysQuery {
  readonly source: string;
  /** The columns that hold the entity's key, in the entity's declared order. */
  readonly keyColumns: readonly string[];
  /** Only keys behind this one in the store's own order: where an earlier call was left. Null for all. */
  readonly after: readonly Value[] | null;
}

export interface StoredDeadLetter extends DeadLetter {
  /** Never given again, also after the letter was removed. */
  readonly id: number;
}

/** Where the key of an entity stands in the events of a source. */
export interface EntityRole {
  readonly source: string;
  /** In the entity's declared order. */
  readonly keyColumns: readonly string[];
  /** Those of the key columns that an erasure nulls: at least one, which takes the event away from the entity. */
  readonly nulledColumns: readonly string[];
}

/** The order to erase one entity. */
export interface ErasureOrder {
  readonly entity: string;
  /** In the entity's declared order, no nulls. */
  readonly key: readonly Value[];
  /** The types of the entity's keys. */
  readonly keyTypes: readonly ColumnTypeSpec[];
  /** Every role that the entity plays, in declared and in earlier views. Sources that the store does not have are passed over. */
  readonly roles: readonly EntityRole[];
  /** Epoch milliseconds: now. */
  readonly at: number;
}

export interface ErasureResult {
  /** The number of its tombstone: see {@link Tombstone.id}. */
  readonly id: number;
  /** Events whose key was nulled. */
  readonly events: number;
  readonly deadLetters: number;
  readonly predictions: number;
  /** See {@link Tombstone.until}. */
  readonly until: number;
}

/** What is kept of an erasure: enough to recognise the entity's events, not the key. */
export interface Tombstone {
  /** Grows with every erasure, also if an entity is erased again, which replaces its tombstone. From 1. */
  readonly id: number;
  readonly entity: string;
  readonly keyTypes: readonly ColumnTypeSpec[];
  /** HMAC-SHA256 of the key's text (see `entityKeyText`) under the store's own secret, 64 hex digits. */
  readonly keyHash: string;
  /**
   * Events and predictions that were taken up to this moment are erased, whenever they come: the larger of the order's
   * `at` and the latest `ingested_at` of the events that were erased. Epoch milliseconds.
   */
  readonly until: number;
  readonly roles: readonly EntityRole[];
  /** The key's text until `finishErasure`: what has to be erased outside the store. Then null. */
  readonly pendingKey: string | null;
}

/** A prediction as it was made, for `check-consistency`. */
export interface PredictionRecord {
  readonly model: string;
  /** When it was made; epoch milliseconds. */
  readonly at: number;
  /** The entities that it read, each as `entityKeyText` writes it: what an erasure finds it by. */
  readonly keys: readonly string[];
  /** What the prediction log keeps: opaque to the store. */
  readonly json: string;
}

export interface StoredPrediction extends PredictionRecord {
  /** Grows with each record. */
  readonly id: number;
}

export interface PredictionFilter {
  readonly model?: string;
  /** Only records with `from <= at`; epoch milliseconds. */
  readonly from?: number;
  /** Only records with a smaller id: the next page. */
  readonly beforeId?: number;
  /** Only records with a larger id. */
  readonly afterId?: number;
  readonly limit: number;
}

export interface OfflineStoreCapabilities {
  readonly persistent: boolean;
  readonly multiProcess: boolean;
}

/** The cold store: the log of all events, which is the truth, with positions, dead letters and the registry's documents. */
export interface OfflineStore extends EventLog {
  readonly capabilities: OfflineStoreCapabilities;
  /** Which process writes which internal partition: stores for many processes have it. */
  readonly leases?: PartitionLeases;
  /**
   * Makes the source's table, or checks that stored data fits: new nullable columns are added; anything else that does
   * not fit is refused with `SCHEMA_INCOMPATIBLE` and the reason.
   */
  prepareSource(table: SourceTable): Promise<void>;
  /** Events grouped by key (all of one key together, keys in any order), each group in the order of the query. */
  history(query: HistoryQuery): AsyncIterable<readonly LoggedEvent[]>;
  /**
   * Drops events older than a moment (epoch milliseconds) for good, in whole tables, so that some of them may stay.
   * Returns from when on history is complete, which never goes back; `history` that needs older events then fails with
   * `HISTORY_DROPPED`. The ids of dropped events are forgotten. Left out by stores that keep everything.
   */
  dropHistory?(source: string, before: number): Promise<number>;
  /**
   * The distinct keys without nulls, in batches, in an order of the store's own that stays the same from call to call,
   * as it was when the call began.
   */
  entityKeys(query: EntityKeysQuery): AsyncIterable<readonly (readonly Value[])[]>;
  /** Reads in columns, for training sets; left out by stores that read everything through `history`. */
  readonly pointInTime?: PointInTimeReader;
  /**
   * Writes the rows of one query, which may only read, to a Parquet file. Sources are tables `events_<source>`.
   * @throws `SQL_INVALID` (not one SELECT, or wrong), `SQL_TIMEOUT`
   */
  exportQuery?(sql: string, path: string, timeoutMs: number): Promise<void>;
  /** The recorded pushes of a source under idempotency keys, taken at or after `since`; null where there is none. */
  seenPushes(source: string, keys: readonly string[], since: number): Promise<readonly (AcceptedPush | null)[]>;
  /** Newest first. */
  deadLetters(filter: { readonly source?: string; readonly limit: number }): Promise<readonly StoredDeadLetter[]>;
  removeDeadLetters(ids: readonly number[]): Promise<void>;
  /** Registry documents by kind and name (JSON text), in the order they were put. */
  putDocument(kind: string, name: string, json: string): Promise<void>;
  documents(kind: string): Promise<readonly { readonly name: string; readonly json: string; readonly putAt: number }[]>;
  /**
   * Erases an entity in one transaction, which runs before or after each commit and each `appendPredictions`, never
   * beside one: nulls the key in its events (their payload hashes and ids stay), removes the dead letters that name it
   * (see `namesEntity`) and the predictions that read it, and sets its tombstone with the key pending.
   *
   * From then on the store does the same to what comes later and was taken up to the tombstone's `until`: `commit`
   * nulls the key before it inserts and before it gives back `inserted`, `appendPredictions` leaves the record out.
   * `LogCommitResult.erasures` tells who commits.
   */
  erase(order: ErasureOrder): Promise<ErasureResult>;
  /** By id, ascending. */
  tombstones(): Promise<readonly Tombstone[]>;
  /** Forgets the pending key: everything outside the store is erased too. An id that is not there is passed over. */
  finishErasure(id: number): Promise<void>;
  /**
   * Adds roles to every tombstone of the entity, and erases what they cover: for views declared after the erasure. One
   * transaction as `erase`. Returns how many events were nulled; 0 without a look if all tombstones have the roles.
   */
  extendTombstones(entity: string, roles: readonly EntityRole[]): Promise<number>;
  appendPredictions(records: readonly PredictionRecord[]): Promise<void>;
  /** Newest first. */
  predictions(filter: PredictionFilter): Promise<readonly StoredPrediction[]>;
  /** Removes the predictions made before a moment (epoch milliseconds); returns how many. */
  removePredictions(before: number): Promise<number>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
