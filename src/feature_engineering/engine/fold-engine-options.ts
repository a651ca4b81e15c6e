import type { SourceMeta } from "../../definitions/source.ts";
import type { ViewLayout } from "../windows/view-layout.ts";
import type { EventLog } from "./event-log.ts";
import type { FeatureSink } from "./feature-sink.ts";

export interface FoldEngineOptions {
  readonly source: SourceMeta;
  /** The views of the source, each with the key space of its version. */
  readonly views: readonly { readonly layout: ViewLayout; readonly keyspace: string }[];
  readonly log: EventLog;
  readonly sink: FeatureSink;
  /** A fresh name for a new hot store. */
  readonly newInstance: () => string;
  /** The wall clock; epoch milliseconds. */
  readonly now: () => number;
  /** Monotone seconds, for durations. */
  readonly seconds: () => number;
  /** Entities per view that stay in memory, at least; see `ViewFolderOptions`. */
  readonly cacheCapacity?: number;
  /** Values changed and not written, at most, before another waiting batch is folded onto them. Default 400,000. */
  readonly writeValues?: number;
  /**
   * Of the events that changed them, how many are kept, to be folded again where another writer changed a value: beyond
   * it, that costs a look into the log. While there are such writers not more than these are folded and not written. Default 32,000.
   */
  readonly keptEvents?: number;
  /** Values per write to the hot store. Default 8,000. */
  readonly writeBatch?: number;
  /**
   * How long a value keeps the position up to which it holds a partition's events, after that position is durable: as
   * long as another process may still be about to fold one of these events, which it then finds folded. An engine that
   * waited for more than a third of it looks anew at what is folded. Default 0: no other process writes.
   */
  readonly keepPositionsSeconds?: number;
}
