import type { FoldEngine } from "../feature_engineering/engine/fold-engine.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import type { ViewRuntime } from "../feature_store/view-runtime.ts";

export interface FollowerOptions {
  readonly source: string;
  readonly views: readonly ViewRuntime[];
  readonly engine: FoldEngine;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** Monotone. */
  readonly seconds: () => number;
}

/** How often the log is looked at. */
const LOOK_SECONDS = 2;
/** A partition that is behind and did not move for so long has nobody who folds it. */
const STUCK_SECONDS = 5;

/**
 * Makes what is to be called now and then: where events are committed and not folded, and nobody folds them (their
 * writer has died, or does not have this process's view versions), the engine folds them from the log.
 */
export function follower(options: FollowerOptions): () => Promise<void> {
  const { source, views, engine, online, offline, seconds } = options;
  let lookedAt = Number.NEGATIVE_INFINITY;
  /** Per partition that is behind: how far it is folded, and since when. */
  let behind = new Map<number, { readonly folded: number; readonly since: number }>();

  return async () => {
    if (views.length === 0 || seconds() - lookedAt < LOOK_SECONDS) return;
    lookedAt = seconds();
    const marks = (await Promise.all(views.map((view) => online.marks(view.keyspace)))).flat();
    const partitions = await offline.partitions(source);
    const now = new Map<number, { readonly folded: number; readonly since: number }>();
    for (const { partitionId, committed } of partitions) {
      const folded = Math.min(...marks.map((shard) => shard.get(partitionId) ?? -1));
      if (folded >= committed) continue;
      const known = behind.get(partitionId);
      now.set(partitionId, known?.folded === folded ? known : { folded, since: seconds() });
    }
    behind = now;
    if (![...now.values()].some(({ since }) => seconds() - since >= STUCK_SECONDS)) return;
    behind = new Map();
    await engine.recover();
  };
}
