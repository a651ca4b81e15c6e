import type { FoldEngine } from "../feature_engineering/engine/fold-engine.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import type { ViewRuntime } from "../feature_store/view-runtime.ts";
import { partitionRuns } from "./partition-runs.ts";

export interface FollowerOptions {
  readonly source: string;
  readonly views: readonly ViewRuntime[];
  readonly engine: Pick<FoldEngine, "recover">;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** The partitions whose reader folds into all of `views`, as far as it said so lately. */
  readonly foldedByReader: () => Promise<ReadonlySet<string>>;
  /** Monotone. */
  readonly seconds: () => number;
}

/** How often the log is looked at. */
const LOOK_SECONDS = 2;
/** A partition that is behind and did not move for so long has nobody who folds it. */
const STUCK_SECONDS = 5;

/** What was seen of a partition that is behind: how far it is committed and folded, and since when that is so. */
interface Behind {
  readonly committed: number;
  readonly committedSince: number;
  readonly folded: number;
  readonly foldedSince: number;
}

/**
 * Makes what is to be called now and then: where events are committed and not folded, and nobody folds them (their
 * writer has died, or does not have this process's view versions), the engine folds them from the log.
 *
 * Whoever works off a backlog writes seldom, and says so: while it goes on committing, what it has is left to it.
 */
export function follower(options: FollowerOptions): () => Promise<void> {
  const { source, views, engine, online, offline, seconds } = options;
  const { log } = partitionRuns(offline, source);
  let lookedAt = Number.NEGATIVE_INFINITY;
  let behind = new Map<string, Behind>();

  return async () => {
    if (views.length === 0 || seconds() - lookedAt < LOOK_SECONDS) return;
    lookedAt = seconds();
    const marks = (await Promise.all(views.map((view) => online.marks(view.keyspace)))).flat();
    const now = new Map<string, Behind>();
    for (const { partition, partitionId, committed } of await log.partitions(source)) {
      const folded = Math.min(...marks.map((shard) => shard.get(partitionId) ?? -1));
      if (folded >= committed) continue;
      const known = behind.get(partition);
      now.set(partition, {
        committed,
        committedSince: known?.committed === committed ? known.committedSince : seconds(),
        folded,
        foldedSince: known?.folded === folded ? known.foldedSince : seconds(),
      });
    }
    behind = now;
    const stuck = [...now].filter(([, { foldedSince }]) => seconds() - foldedSince >= STUCK_SECONDS);
    if (stuck.length === 0) return;
    const read = await options.foldedByReader();
    const isLeft = ([partition, { committedSince }]: (typeof stuck)[number]): boolean =>
      !read.has(partition) || seconds() - committedSince >= STUCK_SECONDS;
    if (!stuck.some(isLeft)) return;
    behind = new Map();
    await engine.recover();
  };
}
