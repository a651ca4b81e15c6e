/** The address of one packed value in the hot store. */
export interface ValueKey {
  /** The key space of one version of a view. */
  readonly keyspace: string;
  /** The encoded entity key. */
  readonly key: Uint8Array;
}

/** A packed value with the revision that compare-and-set checks. */
export interface StoredValue {
  /** 1 after the first write; grows by 1 with each. */
  readonly revision: number;
  readonly bytes: Uint8Array;
}

export interface ValueWrite extends ValueKey {
  /** The revision that was read; 0 if there was no value. */
  readonly expectedRevision: number;
  /** The new packed value; null deletes. */
  readonly bytes: Uint8Array | null;
  /** From this moment of the wall clock on nobody needs the value: stores with `expires` then drop it. Epoch milliseconds. */
  readonly expiresAt?: number;
}

/** One shard of a key space holds every event of a partition up to an offset. */
export interface AppliedMark {
  readonly keyspace: string;
  readonly partitionId: number;
  readonly offset: number;
}

/** Names a {@link FeatureSink.openSession}. */
export type WriteSession = number;

/**
 * The port through which engines write the hot store. Online stores implement it. A batch is not atomic over its
 * values; each value is.
 *
 * A store consists of shards, each a log of its own: what it may lose (a primary that dies before its replica has
 * everything, a restart from an older file) is always the newest part of a shard's log, never something in between.
 */
export interface FeatureSink {
  readonly capabilities: {
    /** Values are dropped some time after their `expiresAt`. */
    readonly expires: boolean;
    /** Writes cost less in the order of their keys' bytes. Default false. */
    readonly sorted?: boolean;
  };
  /** The values at the keys, null where there is none, in the order of the keys. The bytes belong to the caller. */
  read(keys: readonly ValueKey[]): Promise<readonly (StoredValue | null)[]>;
  /**
   * Writes those whose stored revision is the expected one; true per write that was done, in order. With a session,
   * rejects with `ONLINE_STORE_ROLLED_BACK` and does nothing on a shard that lost a write since the session was opened.
   */
  compareAndSet(writes: readonly ValueWrite[], session?: WriteSession): Promise<readonly boolean[]>;
  /** Resolves when every write done so far would survive the loss of the machine's power, as far as configured. */
  durable(): Promise<void>;
  /** Small facts beside the values, such as a source's clock: null where there is none. */
  readMeta(names: readonly string[]): Promise<readonly (string | null)[]>;
  /** Sets facts, in one step; null deletes. */
  writeMeta(facts: ReadonlyMap<string, string | null>): Promise<void>;
  /** Removes a key space, its marks first, then all its values. */
  dropKeyspace(keyspace: string): Promise<void>;

  /** How many shards there are; it never changes. */
  readonly shards: number;
  /** Which shard an entity's values are on, from 0. */
  shardOf(key: Uint8Array): number;
  /** A session that is not rolled back: a new one if the last was, and if there is none yet. */
  openSession(): Promise<WriteSession>;
  /** Rejects with `ONLINE_STORE_ROLLED_BACK` if a shard lost a write since the session was opened. */
  checkSession(session: WriteSession): Promise<void>;
  /** Sets marks on every shard, behind all writes of the session so far, never backwards. Rejects as `compareAndSet`. */
  mark(marks: readonly AppliedMark[], session: WriteSession): Promise<void>;
  /** The marks of a key space: per shard, the offset by partition. */
  marks(keyspace: string): Promise<readonly ReadonlyMap<number, number>[]>;
}
