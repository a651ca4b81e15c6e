import { channel } from "node:diagnostics_channel";
import type { MessageBatch } from "../../ingestion/stream-message.ts";
import { createAppliedPositions, isNotDurable } from "./applied-positions.ts";
import { createBatchCommits } from "./batch-commits.ts";
import { ENGINE_BATCH_CHANNEL, type EngineBatchEvent } from "./channels.ts";
import type { LogCommitResult, LoggedEvent } from "./event-log.ts";
import type { WriteSession } from "./feature-sink.ts";
import type { FoldEngineOptions } from "./fold-engine-options.ts";
import { createLogFolding, foldSlices, SLICE } from "./log-folding.ts";
import { metaNames } from "./meta-names.ts";
import { createSourceClock } from "./source-clock.ts";
import { createViewFolder, type ViewFolder } from "./view-folder.ts";
import { createWriteRounds } from "./write-rounds.ts";

/** Where a partition goes on. */
export interface TakenOver {
  /** The last committed offset; −1 if none is. */
  readonly offset: number;
  /** The transport's own position that came with it. */
  readonly cursor: string | null;
  /** Of the ownership, for batches that are read under it; left out if it was only looked at. */
  readonly epoch?: number;
}

/** The embedded stream engine of one source: the four steps by which nothing is lost and nothing counted twice. */
export interface FoldEngine {
  /**
   * Folds what the log holds and the hot store does not: after a crash, and to fill new view versions. To be called
   * once, before the first batch. `fold` resolves when everything committed is readable.
   */
  recover(): Promise<void>;
  /** Where a partition resumes: after the last committed offset (−1 if none). Takes the partition over, unless `look`. */
  resumeAfter(partition: string, how?: "look"): Promise<TakenOver>;
  /** Makes a batch's log entries while the batch before is committed, so that the log waits less between the two. */
  prepare(batch: MessageBatch): void;
  /**
   * Commits a batch to the log, then folds what is new and writes the hot store. Resolves when it is committed and the
   * batch before it is folded: so decoding, committing and folding overlap. One call at a time. While further batches
   * wait, several are written as one, so that a value that many events change is written once.
   */
  handle(batch: MessageBatch): Promise<void>;
  /** Resolves when everything handled is readable; repairs first if a write failed. */
  settled(): Promise<void>;
  /** To be called now and then: repairs after an error of the hot store or lost writes, also when no new batch comes. */
  tend(): Promise<void>;
  /** Makes `applied` durable for everything handled. */
  flush(): Promise<void>;
  /** Up to where this engine folds a partition, sooner or later, whatever happens to the hot store; −1: nothing of it. */
  committed(partitionId: number): number;
  /** The source's clock; epoch milliseconds; −Infinity before the first event of a stream clock. */
  clock(): number;
}

const batches = channel(ENGINE_BATCH_CHANNEL);

export function createFoldEngine(options: FoldEngineOptions): FoldEngine {
  const { source, log, sink, seconds } = options;
  const folders = options.views.map(({ layout, keyspace }) =>
    createViewFolder({
      layout,
      keyspace,
      sink,
      session: () => session,
      ...(options.cacheCapacity === undefined ? {} : { cacheCapacity: Math.max(2 * SLICE, options.cacheCapacity) }),
      writeBatch: options.writeBatch ?? 8_000,
    }),
  );
  const views = options.views.map(({ layout }) => layout.view.name);
  let instance = "";
  let session: WriteSession = 0;
  /** Batches that are being committed, or wait to be folded. */
  let waiting = 0;
  let folding: Promise<unknown> = Promise.resolve();
  let broken = false;
  let repairing: Promise<void> | null = null;
  let erasuresSeen = 0;

  const appliedName = (folder: ViewFolder): string => `${folder.keyspace}#${instance}`;
  const keepSeconds = options.keepPositionsSeconds ?? 0;
  const sourceClock = createSourceClock({ source, sink, now: options.now, isShared: keepSeconds > 0 });
  const clock = sourceClock.now;
  const positions = createAppliedPositions({
    folders,
    log,
    sink,
    session: () => session,
    appliedName,
    seconds,
    keepSeconds,
    onFailure: () => {
      broken = true;
    },
  });
  const { writeValues, keptEvents } = options;
  const rounds = createWriteRounds({
    folders,
    clock: sourceClock,
    positions,
    sorted: sink.capabilities.sorted === true,
    seconds,
    ...(writeValues === undefined ? {} : { writeValues }),
    ...(keptEvents === undefined ? {} : { keptEvents }),
    waiting: () => waiting,
    writeLater: (write) => {
      if (!broken) next(write).catch(() => {});
    },
  });
  const commits = createBatchCommits({
    source,
    log,
    onTakenOver: ({ partitionId, committed }) => {
      // Its last owner may have died before it folded what it had committed.
      if (committed > positions.written(partitionId)) broken = true;
    },
  });
  /** Whether what was found not folded so long ago may have been folded by another process since, and say so no more. */
  const isStale = (since: number): boolean => keepSeconds > 0 && seconds() - since > keepSeconds / 3;

  async function loadInstance(): Promise<void> {
    const [known, storedClock] = await sink.readMeta([metaNames.instance, metaNames.clock(source.name)]);
    sourceClock.load(storedClock ?? null);
    if (known !== null && known !== undefined) {
      instance = known;
    } else {
      instance = options.newInstance();
      await sink.writeMeta(new Map([[metaNames.instance, instance]]));
    }
  }

  async function recover(): Promise<void> {
    await positions.calm();
    for (const folder of folders) folder.reset();
    rounds.reset();
    positions.reset();
    // First of all: whatever is lost from now on is noticed.
    session = await sink.openSession();
    await loadInstance();
    const fromLog = createLogFolding({
      source: source.name,
      folders,
      log,
      sink,
      clock: sourceClock,
      appliedName,
      prunable: positions.prunable,
      seconds,
      isStale,
      session,
    });
    positions.noteWritten(await fromLog.run());
    await sourceClock.write();
    await positions.flush().catch((error: unknown) => {
      if (!isNotDurable(error)) throw error;
    });
    await fromLog.done();
  }

  /** Steps 2 and 3 for one batch. */
  async function foldAndWrite(
    { partition, lastOffset, behind = 0 }: MessageBatch,
    inserted: readonly LoggedEvent[],
  ): Promise<number> {
    const started = seconds();
    const partitionId = commits.partitionIdOf(partition);
    let foldSeconds = 0;
    try {
      // A repair may have folded this batch already.
      const after = rounds.folded(partitionId) ?? positions.written(partitionId);
      const events =
        inserted[0] !== undefined && inserted[0].offset <= after ? inserted.filter((e) => e.offset > after) : inserted;
      const clocks = sourceClock.advance(events);
      for (const folder of folders) {
        const from = seconds();
        await foldSlices(folder, events, clocks);
        foldSeconds += seconds() - from;
      }
      rounds.note(partitionId, lastOffset, events.length, started);
      await rounds.writeDue(events.length, behind);
    } catch (error) {
      broken = true;
      throw error;
    }
    return foldSeconds;
  }

  /** Runs after what is folding now; a failure makes `broken` true and is repaired by whoever comes next. */
  function next<T>(run: () => Promise<T>): Promise<T> {
    const running = folding.catch(() => {}).then(run);
    folding = running;
    running.catch(() => {
      broken = true;
    });
    return running;
  }

  /** One at a time, and beside no fold: `broken` keeps new ones from starting. */
  function repair(): Promise<void> {
    broken = true;
    repairing ??= (async () => {
      await folding.catch(() => {});
      await recover();
      broken = false;
    })().finally(() => {
      repairing = null;
    });
    return repairing;
  }

  async function flush(): Promise<void> {
    await settled();
    await tend();
    await positions.calm();
    await positions.flush();
  }

  async function handle(batch: MessageBatch): Promise<void> {
    const started = seconds();
    let result: LogCommitResult;
    let commitSeconds: number;
    waiting++;
    try {
      result = await commits.commit(batch);
      commitSeconds = seconds() - started;
      // The batch before this one was folded while this one was decoded and committed: one fold at most is behind.
      await folding.catch(() => {});
      if (broken) await repair();
      // An entity may be gone: nothing of it may live on in memory.
      const { erasures = 0 } = result;
      if (erasures !== erasuresSeen) {
        erasuresSeen = erasures;
        if (rounds.isBehind()) await repair();
        else for (const folder of folders) folder.reset();
      }
      if (isStale(started)) await repair();
    } finally {
      waiting--;
    }
    // After a failure the next `handle`, `settled` or `tend` repairs from the log, and rejects if it cannot.
    next(() => foldAndPublish(batch, result, commitSeconds)).catch(() => {});
  }

  async function foldAndPublish(batch: MessageBatch, result: LogCommitResult, commitSeconds: number): Promise<void> {
    const foldSeconds = await foldAndWrite(batch, result.inserted);
    const since = rounds.counts();
    if (!batches.hasSubscribers) return;
    batches.publish({
      source: source.name,
      events: result.inserted.length,
      duplicates: result.duplicates,
      conflicts: result.conflicts,
      nullKeys: folders.reduce((sum, folder) => sum + folder.nullKeys, 0),
      ...since,
      commitSeconds,
      foldSeconds,
      clock: clock(),
      views,
      newestEventTime: newestOf(result.inserted),
    } satisfies EngineBatchEvent);
  }

  /** Repairs the hot store from the log if a write or a flush failed. */
  async function settled(): Promise<void> {
    await folding.catch(() => {});
    if (!broken && rounds.isBehind()) await next(rounds.writeAll).catch(() => {});
    if (broken) await repair();
  }

  /** Repairs also what the hot store lost while nothing was written; writes what no further batch will come for. */
  async function tend(): Promise<void> {
    await folding.catch(() => {});
    if (!broken && rounds.isBehind() && rounds.isLeft()) await next(rounds.writeAll).catch(() => {});
    if (broken) await repair();
    try {
      await sink.checkSession(session);
    } catch (error) {
      broken = true;
      if (!isRolledBack(error)) throw error;
      await repair();
    }
    if (keepSeconds > 0) await sourceClock.write();
    if (positions.isBehind()) positions.flushWhenDue();
  }

  return {
    recover: repair,
    async resumeAfter(partition, how) {
      if (how === "look") {
        const known = (await log.partitions(source.name)).find((p) => p.partition === partition);
        return { offset: known?.committed ?? -1, cursor: known?.cursor ?? null };
      }
      const { committed, cursor, ownerEpoch } = await commits.takeOver(partition);
      return { offset: committed, cursor, epoch: ownerEpoch };
    },
    prepare: commits.prepare,
    handle,
    tend,
    settled,
    flush,
    committed: commits.committed,
    clock,
  };
}

function isRolledBack(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ONLINE_STORE_ROLLED_BACK";
}

/** Epoch milliseconds; null of none. */
function newestOf(events: LogCommitResult["inserted"]): number | null {
  let newest = Number.NEGATIVE_INFINITY;
  for (const { eventTime } of events) if (eventTime > newest) newest = eventTime;
  return events.length === 0 ? null : newest;
}
