import type { FoldEngine } from "../feature_engineering/engine/fold-engine.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import type { ViewRuntime } from "../feature_store/view-runtime.ts";
import { partitionRuns } from "./partition-runs.ts";

export interface FollowerOptions {
  readonly source: string;
  readonly views: readonly ViewRuntime[];
  readonly engine: Pick<FoldEngine, "committed" | "recover">;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** The partitions whose reader folds into all of `views`, as far as it said so lately, each with its reader. */
  readonly foldedByReader: () => Promise<ReadonlyMap<string, string>>;
  /** Monotone. */
  readonly seconds: () => number;
}

/** How often the log is looked at. */
const LOOK_SECONDS = 2;
/** A partition that is behind and did not move for so long has nobody who folds it. */
const STUCK_SECONDS = 5;

/** How far something was seen to be, and since when that is so. */
interface Seen {
  readonly offset: number;
  readonly since: number;
}

/**
 * Makes what is to be called now and then: where events are committed and not folded, and nobody folds them (their
 * writer has died, or does not have this process's view versions), the engine folds them from the log.
 *
 * Whoever works off a backlog writes seldom, and says so: while it goes on committing, to whichever of its partitions,
 * what it has is left to it. What this process's engine committed itself it folds anyway.
 */
export function follower(options: FollowerOptions): () => Promise<void> {
  const { source, views, engine, online, offline, seconds } = options;
  const { log } = partitionRuns(offline, source);
  let lookedAt = Number.NEGATIVE_INFINITY;
  let commits = new Map<string, Seen>();
  let folds = new Map<string, Seen>();

  return async () => {
    if (views.length === 0 || seconds() - lookedAt < LOOK_SECONDS) return;
    lookedAt = seconds();
    const marks = (await Promise.all(views.map((view) => online.marks(view.keyspace)))).flat();
    const partitions = await log.partitions(source);
    commits = new Map(partitions.map((p) => [p.partition, seen(commits.get(p.partition), p.committed, seconds())]));
    const behind = partitions
      .map((p) => ({ ...p, folded: Math.min(...marks.map((shard) => shard.get(p.partitionId) ?? -1)) }))
      .filter(({ committed, folded }) => folded < committed);
    folds = new Map(behind.map((p) => [p.partition, seen(folds.get(p.partition), p.folded, seconds())]));
    const stuck = behind.filter(
      ({ partition, partitionId, committed }) =>
        isStill(folds.get(partition)!) && committed > engine.committed(partitionId),
    );
    if (stuck.length === 0) return;
    const readers = await options.foldedByReader();
    const busy = new Set([...readers].filter(([p]) => isGoingOn(commits.get(p))).map(([, reader]) => reader));
    if (stuck.every(({ partition }) => busy.has(readers.get(partition) ?? ""))) return;
    folds = new Map();
    await engine.recover();
  };

  function isStill({ since }: Seen): boolean {
    return seconds() - since >= STUCK_SECONDS;
  }

  function isGoingOn(commit: Seen | undefined): boolean {
    return commit !== undefined && !isStill(commit);
  }
}

function seen(before: Seen | undefined, offset: number, now: number): Seen {
  return before?.offset === offset ? before : { offset, since: now };
}
