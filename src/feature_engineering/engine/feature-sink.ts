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
}

/**
 * The port through which engines write the hot store. Online stores implement it. A batch is not atomic over its
 * values; each value is.
 */
export interface FeatureSink {
  /** The values at the keys, null where there is none, in the order of the keys. The bytes belong to the caller. */
  read(keys: readonly ValueKey[]): Promise<readonly (StoredValue | null)[]>;
  /** Writes those whose stored revision is the expected one; true per write that was done, in order. */
  compareAndSet(writes: readonly ValueWrite[]): Promise<readonly boolean[]>;
  /** Resolves when every write done so far would survive the loss of the machine's power, as far as configured. */
  durable(): Promise<void>;
  /** Small facts beside the values, such as a source's clock: null where there is none. */
  readMeta(names: readonly string[]): Promise<readonly (string | null)[]>;
  /** Sets facts, in one step; null deletes. */
  writeMeta(facts: ReadonlyMap<string, string | null>): Promise<void>;
}
