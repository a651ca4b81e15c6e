import type { FeatureSink, StoredValue, ValueKey } from "../../feature_engineering/engine/feature-sink.ts";

export interface OnlineStoreCapabilities {
  /** Values survive the end of the process. */
  readonly persistent: boolean;
  /** Several processes may write at once. */
  readonly multiProcess: boolean;
  /** `readSync` and `readMetaSync` are there: reads finish without leaving the thread. */
  readonly syncReads: boolean;
  /** Values are dropped some time after their `expiresAt`. */
  readonly expires: boolean;
  /** Writes cost less in the order of their keys' bytes. Default false. */
  readonly sorted?: boolean;
}

export interface FetchOptions {
  /** How long the read may take, milliseconds. Default: as long as the store's other commands. */
  readonly deadlineMs?: number;
  /** Where the store, or a part of it, does not answer in time: undefined for what it did not give, no error. Default false. */
  readonly partial?: boolean;
}

/** What `fetch` found. Undefined, only where `partial` was asked for: not known, since the store did not answer. */
export interface Fetched {
  readonly values: readonly (StoredValue | null | undefined)[];
  readonly facts: readonly (string | null | undefined)[];
}

/** The hot store: one packed value per (view version, entity). A projection of the cold store that can be rebuilt. */
export interface OnlineStore extends FeatureSink {
  readonly capabilities: OnlineStoreCapabilities;
  /**
   * Values and facts in one round trip: the path of requests. Reads that wait at the same time may share their round
   * trips, but none is answered with what was read before it came.
   * @throws `ONLINE_STORE_TIMEOUT` after the deadline, `ONLINE_STORE_UNAVAILABLE`, also where too many reads wait.
   */
  fetch(keys: readonly ValueKey[], facts: readonly string[], options?: FetchOptions): Promise<Fetched>;
  /** As `read`, without a promise; only where `capabilities.syncReads`. */
  readSync?(keys: readonly ValueKey[]): (StoredValue | null)[];
  /** As `readMeta`, without a promise; only where `capabilities.syncReads`. */
  readMetaSync?(names: readonly string[]): (string | null)[];
  /**
   * Every value of a key space, in no particular order, in batches; used by sweeps and checks. What is there throughout
   * comes; it may come twice where a store with `expires` shrinks meanwhile.
   */
  scan(keyspace: string): AsyncIterable<readonly { readonly key: Uint8Array; readonly value: StoredValue }[]>;
  keyspaces(): Promise<readonly string[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
