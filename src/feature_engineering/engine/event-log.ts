import type { Value } from "../../definitions/value.ts";
import type { AcceptedPush, DeadLetter } from "../../ingestion/stream-message.ts";
import type { EventOrder } from "../aggregations/aggregation.ts";

export type { AcceptedPush, DeadLetter };

/** One event as the cold store keeps it. It is its own {@link EventOrder}. */
export interface LoggedEvent extends EventOrder {
  /** The small number that the cold store gave to the event's (source, partition). */
  readonly partitionId: number;
  readonly offset: number;
  /** The declared event id, or of a table source the hash of the row; null if the source declares none. */
  readonly id: string | null;
  /** One value per schema column, in declared order. */
  readonly row: readonly Value[];
}

/** A source partition that this process may write. */
export interface OwnedPartition {
  readonly source: string;
  readonly partition: string;
  /** Small, unique over all sources of the cold store, never reused. */
  readonly partitionId: number;
  /** Fences earlier owners: a commit under an older epoch fails with `PARTITION_FENCED`. */
  readonly ownerEpoch: number;
  /** The last offset in the log; −1 if none. */
  readonly committed: number;
  /** The transport's own position that came with the last commit; null if none did. */
  readonly cursor: string | null;
}

export interface LogCommit {
  readonly partition: OwnedPartition;
  /** In offset order. Those at or below the partition's committed offset are dropped as redeliveries. */
  readonly events: readonly LoggedEvent[];
  readonly deadLetters: readonly DeadLetter[];
  /** HTTP pushes that lie wholly in this commit: recorded with it, so that their idempotency keys are known. */
  readonly pushes?: readonly AcceptedPush[];
  /** The offset that `committed` moves to. */
  readonly lastOffset: number;
  /** The transport's own position, recorded with `committed`; left out: it stays as it is. */
  readonly cursor?: string;
}

export interface LogCommitResult {
  /** The events really inserted, in offset order: what is to be folded. */
  readonly inserted: readonly LoggedEvent[];
  /** Events whose id (with an equal event time and payload) was known. */
  readonly duplicates: number;
  /** Events whose id and event time were known with another payload: now dead letters, `ID_CONFLICT`. */
  readonly conflicts: number;
  /**
   * How many erasures the log had seen when this commit was made; absent while there was none. When it grows, what is
   * kept in memory of entities must be read again: an entity may be gone.
   */
  readonly erasures?: number;
}

/** How far a view version has been folded into the hot store, per source partition. */
export interface AppliedPosition {
  readonly viewVersion: string;
  readonly partitionId: number;
  /** Every event at or below it is in the hot store, durably. */
  readonly offset: number;
}

/**
 * The port through which the engine writes and reads the truth: the log of all events in the cold store.
 * Offline stores implement it.
 */
export interface EventLog {
  /** Takes a partition over: raises its epoch, registers it if new. Fails with `SOURCE_UNKNOWN` for an unprepared source. */
  own(source: string, partition: string): Promise<OwnedPartition>;
  /** One transaction: checks the epoch, inserts what is new, sets dead letters aside, moves `committed`. */
  commit(commits: LogCommit): Promise<LogCommitResult>;
  /** All partitions of a source with their committed offsets, owned or not. */
  partitions(source: string): Promise<readonly OwnedPartition[]>;
  /** The events of one partition with `after < offset <= upTo`, in offset order, in batches of bounded size. */
  read(source: string, partitionId: number, after: number, upTo: number): AsyncIterable<readonly LoggedEvent[]>;
  /** The applied positions of a view version. */
  applied(viewVersion: string): Promise<readonly AppliedPosition[]>;
  /** Moves applied positions; never backwards. */
  setApplied(positions: readonly AppliedPosition[]): Promise<void>;
}
