import type { FeatureSink, StoredValue, ValueKey } from "../../feature_engineering/engine/feature-sink.ts";

export interface OnlineStoreCapabilities {
  /** Values survive the end of the process. */
  readonly persistent: boolean;
  /** Several processes may write at once. */
  readonly multiProcess: boolean;
  /** `readSync` is there: reads finish without leaving the thread. */
  readonly syncReads: boolean;
}

/** The hot store: one packed value per (view version, entity). A projection of the cold store that can be rebuilt. */
export interface OnlineStore extends FeatureSink {
  readonly capabilities: OnlineStoreCapabilities;
  /** As `read`, without a promise; only where `capabilities.syncReads`. */
  readSync?(keys: readonly ValueKey[]): (StoredValue | null)[];
  /** Every value of a key space, in no particular order, in batches; used by sweeps and checks. */
  scan(keyspace: string): AsyncIterable<readonly { readonly key: Uint8Array; readonly value: StoredValue }[]>;
  keyspaces(): Promise<readonly string[]>;
  /** Removes a key space and all its values. */
  dropKeyspace(keyspace: string): Promise<void>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
