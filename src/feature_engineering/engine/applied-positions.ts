import type { EventLog } from "./event-log.ts";
import type { FeatureSink, WriteSession } from "./feature-sink.ts";
import type { ViewFolder } from "./view-folder.ts";

export interface AppliedPositionsOptions {
  readonly folders: readonly ViewFolder[];
  readonly log: EventLog;
  readonly sink: FeatureSink;
  readonly session: () => WriteSession;
  /** The name under which the log keeps what a view version holds. */
  readonly appliedName: (folder: ViewFolder) => string;
  /** Monotone seconds. */
  readonly seconds: () => number;
  /** How long a value keeps a position after it is durable, seconds; 0: no other process writes. */
  readonly keepSeconds: number;
  /** Told when a flush that was not waited for went wrong. */
  readonly onFailure: () => void;
}

/** Up to where the hot store holds each partition, as written, as durably so, and as everybody knows by now. */
export interface AppliedPositions {
  /** The last offset whose values are in the hot store; −1 if none is known. */
  written(partitionId: number): number;
  noteWritten(offsets: Iterable<readonly [partitionId: number, offset: number]>): void;
  /** The offset up to which values need not keep positions. */
  prunable(partitionId: number): number;
  /** Whether something that is written is not durably so. */
  isBehind(): boolean;
  /** Marks in the hot store what is written, makes it durable and tells the log. */
  flush(): Promise<void>;
  /** The same beside other work, unless one is under way or was a moment ago. */
  flushWhenDue(): void;
  /** Resolves when no flush is under way. */
  calm(): Promise<void>;
  /** Nothing is known any more, and what was durable counts in this session alone. */
  reset(): void;
}

/** How often `applied` follows what was written. What lies between is folded again after a crash, and skipped. */
const FLUSH_SECONDS = 0.25;

export function createAppliedPositions(options: AppliedPositionsOptions): AppliedPositions {
  const { folders, log, sink, seconds, keepSeconds, appliedName } = options;
  /** Per partition id: the last offset whose values are in the hot store, and the last that is durably so. */
  const written = new Map<number, number>();
  const durable = new Map<number, number>();
  /** What was durable at least `keepSeconds` ago, and what will be when that time has passed since `agingSince`. */
  let aged = new Map<number, number>();
  let aging = new Map<number, number>();
  let agingSince = Number.NEGATIVE_INFINITY;
  let flushing: Promise<void> | null = null;
  let flushedAt = Number.NEGATIVE_INFINITY;

  const durably = (partitionId: number): number => durable.get(partitionId) ?? -1;

  async function flush(): Promise<void> {
    const upTo = [...written];
    const marks = folders.flatMap(({ keyspace }) =>
      upTo.map(([partitionId, offset]) => ({ keyspace, partitionId, offset })),
    );
    await sink.mark(marks, options.session());
    await sink.durable();
    await log.setApplied(
      folders.flatMap((folder) =>
        upTo.map(([partitionId, offset]) => ({ viewVersion: appliedName(folder), partitionId, offset })),
      ),
    );
    for (const [partitionId, offset] of upTo) durable.set(partitionId, Math.max(offset, durably(partitionId)));
    if (keepSeconds > 0 && seconds() - agingSince >= keepSeconds) {
      aged = aging;
      aging = new Map(durable);
      agingSince = seconds();
    }
  }

  return {
    written: (partitionId) => written.get(partitionId) ?? -1,
    noteWritten(offsets) {
      for (const [partitionId, offset] of offsets) written.set(partitionId, offset);
    },
    prunable: (partitionId) => (keepSeconds === 0 ? durably(partitionId) : (aged.get(partitionId) ?? -1)),
    isBehind: () => [...written].some(([partitionId, offset]) => offset > durably(partitionId)),
    flush,
    flushWhenDue() {
      if (seconds() - flushedAt < FLUSH_SECONDS) return;
      flushedAt = seconds();
      flushing ??= flush().then(
        () => {
          flushing = null;
        },
        (error: unknown) => {
          // What is not durable yet is waited for; whatever else went wrong, the next batch repairs.
          if (!isNotDurable(error)) options.onFailure();
          flushing = null;
        },
      );
    },
    async calm() {
      if (flushing !== null) await flushing;
    },
    reset() {
      written.clear();
      // Positions are pruned only up to marks of this session: should the store lose such a mark, it loses the pruned
      // value too, and the session with it. See docs/adr/0005.
      durable.clear();
      aged.clear();
      aging.clear();
      agingSince = seconds();
    },
  };
}

/** Whether a flush failed only because what it wrote is not durable yet. */
export function isNotDurable(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ONLINE_STORE_NOT_DURABLE";
}
