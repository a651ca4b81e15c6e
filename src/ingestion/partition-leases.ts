/**
 * The port by which processes share the partitions of a source that has no consumer groups of its own (Kinesis shards,
 * internal partitions). A lease says who should read; the cold store's fencing says whose reading counts.
 */
export interface PartitionLeases {
  /**
   * To be called every few seconds with all partitions that can be read now: renews what this process holds, takes its
   * fair share of what is free or whose holder fell silent, and returns what it holds.
   */
  balance(partitions: readonly string[]): Promise<ReadonlySet<string>>;
  /** Gives all of them up at once, so that others need not wait for the expiry. */
  release(): Promise<void>;
}

/** Leases of a process that is alone: it holds everything. */
export function soleLeases(): PartitionLeases {
  return { balance: async (partitions) => new Set(partitions), release: async () => {} };
}

/**
 * The port by which a process gets one internal partition of its own, of a source whose messages have no positions
 * (Pub/Sub): two processes that count offsets never count in the same partition.
 */
export interface OwnPartition {
  /** A partition that nobody else holds. */
  take(): Promise<string>;
  /** To be called every few seconds: false if another process may have it now; then `take` again. */
  keep(): Promise<boolean>;
  /** Gives it back. */
  release(): Promise<void>;
}

/** The partition of a process that is alone. */
export function solePartition(name: string): OwnPartition {
  return { take: async () => name, keep: async () => true, release: async () => {} };
}
