import { channel } from "node:diagnostics_channel";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ENGINE_RECOVERY_CHANNEL, type EngineRecoveryEvent } from "./channels.ts";
import type { EventLog, LoggedEvent } from "./event-log.ts";
import type { AppliedMark, FeatureSink, WriteSession } from "./feature-sink.ts";
import { metaNames, READY } from "./meta-names.ts";
import type { SourceClock } from "./source-clock.ts";
import type { ViewFolder } from "./view-folder.ts";

/**
 * Events folded at once during recovery and within a batch: bounds memory, is below the cache's capacity, and lets sockets
 * have a turn in between, since a commit that is under way sends its rows from the same thread.
 */
export const SLICE = 4_096;

export interface LogFoldingOptions {
  readonly source: string;
  readonly folders: readonly ViewFolder[];
  readonly log: EventLog;
  readonly sink: FeatureSink;
  readonly clock: SourceClock;
  /** The name under which the log keeps what a view version holds. */
  readonly appliedName: (folder: ViewFolder) => string;
  readonly prunable: (partitionId: number) => number;
  /** Monotone seconds. */
  readonly seconds: () => number;
  /** Whether what was read so long ago may be another's work since, and say so no more. */
  readonly isStale: (since: number) => boolean;
  readonly session: WriteSession;
}

/** A recovery of key spaces that nothing is folded into yet: the two halves of it, `done` after what was folded is durable. */
export interface LogFolding {
  /** Folds what the log holds and the key spaces do not; up to where of each partition. */
  run(): Promise<ReadonlyMap<number, number>>;
  /** Notes that the key spaces hold everything. */
  done(): Promise<void>;
}

const recoveries = channel(ENGINE_RECOVERY_CHANNEL);

export function createLogFolding(options: LogFoldingOptions): LogFolding {
  const { source, folders, log, sink, clock, seconds, session } = options;
  let folded = 0;
  let total = 0;

  /** What was left of a key space whose drop was cut short: its values would not say what they hold. */
  async function finishDrops(): Promise<void> {
    const names = folders.map((folder) => metaNames.dropping(folder.keyspace));
    const dropping = await sink.readMeta(names);
    for (const [index, folder] of folders.entries()) {
      if (dropping[index] !== "1") continue;
      await sink.dropKeyspace(folder.keyspace);
      await sink.writeMeta(new Map([[names[index]!, null]]));
    }
  }

  /** A key space of before there were marks: there, the cold store's positions are what it holds. */
  async function markFilledBefore(): Promise<void> {
    const ready = await sink.readMeta(folders.map((folder) => metaNames.ready(folder.keyspace)));
    const marks: AppliedMark[] = [];
    for (const [index, folder] of folders.entries()) {
      if (ready[index] !== "1") continue;
      for (const { partitionId, offset } of await log.applied(options.appliedName(folder))) {
        marks.push({ keyspace: folder.keyspace, partitionId, offset });
      }
    }
    await sink.mark(marks, session);
  }

  function report(finished: boolean): void {
    if (!recoveries.hasSubscribers) return;
    recoveries.publish({
      source,
      events: folded,
      total,
      done: finished,
      views: folders.map((folder) => folder.layout.view.name),
      newestEventTime: clock.newestEventTime(),
    } satisfies EngineRecoveryEvent);
  }

  return {
    async run() {
      await finishDrops();
      await markFilledBefore();
      const upTo = new Map<number, number>();
      const partitions = await log.partitions(source);
      let heldAt = seconds();
      let held = await Promise.all(folders.map((folder) => sink.marks(folder.keyspace)));
      /** Up to where every shard of a view holds every event. */
      const heldUpTo = (view: number, partitionId: number): number =>
        Math.min(...held[view]!.map((shard) => shard.get(partitionId) ?? -1));
      const behind = partitions.map((partition) => ({
        partition,
        from: Math.min(partition.committed, ...folders.map((_, view) => heldUpTo(view, partition.partitionId))),
      }));
      for (const { partitionId } of partitions) {
        for (const [view, folder] of folders.entries()) folder.holds(partitionId, heldUpTo(view, partitionId));
      }
      total = behind.reduce((sum, { partition, from }) => sum + Math.max(0, partition.committed - from), 0);
      report(false);
      for (const { partition, from } of behind) {
        for await (const events of log.read(source, partition.partitionId, from, partition.committed)) {
          const clocks = clock.advance(events);
          if (options.isStale(heldAt)) {
            heldAt = seconds();
            held = await Promise.all(folders.map((folder) => sink.marks(folder.keyspace)));
            for (const folder of folders) folder.reset();
          }
          for (const [view, folder] of folders.entries()) {
            const after = heldUpTo(view, partition.partitionId);
            const first = events.findIndex((event) => event.offset > after);
            if (first >= 0) await foldSlices(folder, events.slice(first), clocks.subarray(first));
            await folder.write(clock.now(), options.prunable);
          }
          folded += events.length;
          report(false);
        }
        upTo.set(partition.partitionId, partition.committed);
      }
      return upTo;
    },
    async done() {
      await sink.writeMeta(new Map(folders.map((folder) => [metaNames.ready(folder.keyspace), READY])));
      report(true);
    },
  };
}

export async function foldSlices(
  folder: ViewFolder,
  events: readonly LoggedEvent[],
  clocks: Float64Array,
): Promise<void> {
  for (let from = 0; from < events.length; from += SLICE) {
    if (from > 0) await nextTurn();
    await folder.fold(events.slice(from, from + SLICE), clocks.subarray(from, from + SLICE));
  }
}
