import { channel } from "node:diagnostics_channel";
import type { SourceMeta } from "../../definitions/source.ts";
import type { MessageBatch } from "../../ingestion/stream-message.ts";
import type { ViewLayout } from "../windows/view-layout.ts";
import { ENGINE_BATCH_CHANNEL, type EngineBatchEvent } from "./channels.ts";
import type { EventLog, LogCommitResult, LoggedEvent, OwnedPartition } from "./event-log.ts";
import type { FeatureSink, WriteSession } from "./feature-sink.ts";
import { createLogFolding, foldSlices, SLICE } from "./log-folding.ts";
import { createMessageLogger } from "./message-logger.ts";
import { metaNames } from "./meta-names.ts";
import { createSourceClock } from "./source-clock.ts";
import { createViewFolder, type ViewFolder } from "./view-folder.ts";

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
  /** The source's clock; epoch milliseconds; −Infinity before the first event of a stream clock. */
  clock(): number;
}

/**
 * Values changed and not written, at most, before they begin to be written beside the next batches, and for how long: the
 * more, the fewer writes of a value that many events change. Only while a backlog is worked off.
 */
const WRITE_VALUES = 400_000;
const WRITE_SECONDS = 10;
const KEPT_EVENTS = 32_000;
/** How long after a conflict other writers are reckoned with, seconds. */
const CONTENDED_SECONDS = 60;
/**
 * So many events in a batch, or behind it, are a backlog: more of it is waited for, so long in milliseconds; longer if
 * the source says that it is there.
 */
const BACKLOG = 4_000;
const WAIT_MS = 250;
const WAIT_BEHIND_MS = 1_000;
/** How often `applied` follows what was written. What lies between is folded again after a crash, and skipped. */
const FLUSH_SECONDS = 0.25;

const batches = channel(ENGINE_BATCH_CHANNEL);

/** Values that are written in parts, those that were changed first before others. */
interface WriteRound {
  /** Per partition id, what was folded when it began. */
  readonly upTo: ReadonlyMap<number, number>;
  /** How many events that was, and when. */
  readonly events: number;
  readonly since: number;
  /** Of each view, how many of the values changed by then are not written yet. */
  readonly left: number[];
}

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
  const toLogged = createMessageLogger(source);
  /** Log entries that were made ahead, for the partition's id of then. */
  const prepared = new WeakMap<MessageBatch, { readonly partitionId: number; readonly events: LoggedEvent[] }>();
  const owned = new Map<string, OwnedPartition>();
  /** Per partition id: the last offset whose values are in the hot store, and the last that is durably so. */
  const written = new Map<number, number>();
  const durable = new Map<number, number>();
  let instance = "";
  /** Per partition id: the last offset that is folded and not written. */
  const unwritten = new Map<number, number>();
  let unwrittenEvents = 0;
  let unwrittenSince = 0;
  /** While a backlog is folded on: what is being written of it, a part after each batch. */
  let round: WriteRound | null = null;
  let wroteAt = Number.NEGATIVE_INFINITY;
  /** Until a backlog's next batch. */
  let writing: NodeJS.Timeout | null = null;
  let contendedAt = Number.NEGATIVE_INFINITY;
  /** Since the last batch was told of. */
  let writes = 0;
  let writeSeconds = 0;
  /** Batches that are being committed, or wait to be folded. */
  let waiting = 0;
  let folding: Promise<unknown> = Promise.resolve();
  let flushing: Promise<void> | null = null;
  let flushedAt = Number.NEGATIVE_INFINITY;
  let broken = false;
  let repairing: Promise<void> | null = null;
  let session: WriteSession = 0;
  let erasuresSeen = 0;

  const { writeValues = WRITE_VALUES, keptEvents = KEPT_EVENTS } = options;
  const unwrittenValues = (): number => folders.reduce((sum, folder) => sum + folder.unwritten, 0);
  const conflictsSeen = (): number => folders.reduce((sum, folder) => sum + folder.conflicts, 0);
  const appliedName = (folder: ViewFolder): string => `${folder.keyspace}#${instance}`;
  const keepSeconds = options.keepPositionsSeconds ?? 0;
  const sourceClock = createSourceClock({ source, sink, now: options.now, isShared: keepSeconds > 0 });
  const clock = sourceClock.now;
  /** What was durable at least `keepSeconds` ago, and what will be when that time has passed since `agingSince`. */
  let aged = new Map<number, number>();
  let aging = new Map<number, number>();
  let agingSince = Number.NEGATIVE_INFINITY;
  const durableApplied = (partitionId: number): number => durable.get(partitionId) ?? -1;
  const prunable = (partitionId: number): number =>
    keepSeconds === 0 ? durableApplied(partitionId) : (aged.get(partitionId) ?? -1);
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
    if (flushing !== null) await flushing;
    for (const folder of folders) folder.reset();
    unwritten.clear();
    unwrittenEvents = 0;
    round = null;
    written.clear();
    // Positions are pruned only up to marks of this session: should the store lose such a mark, it loses the pruned
    // value too, and the session with it. See docs/adr/0005.
    durable.clear();
    aged.clear();
    aging.clear();
    agingSince = seconds();
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
      prunable,
      seconds,
      isStale,
      session,
    });
    for (const [partitionId, offset] of await fromLog.run()) written.set(partitionId, offset);
    await sourceClock.write();
    await flushOnce().catch((error: unknown) => {
      if (!isNotDurable(error)) throw error;
    });
    await fromLog.done();
  }

  async function own(partition: string): Promise<OwnedPartition> {
    let found = owned.get(partition);
    if (found === undefined) {
      found = await log.own(source.name, partition);
      owned.set(partition, found);
      // Its last owner may have died before it folded what it had committed.
      if (found.committed > (written.get(found.partitionId) ?? -1)) broken = true;
    }
    return found;
  }

  function entriesOf(batch: MessageBatch, partitionId: number): LoggedEvent[] {
    const ahead = prepared.get(batch);
    prepared.delete(batch);
    if (ahead?.partitionId === partitionId) return ahead.events;
    return batch.messages.map((message) => toLogged(message, partitionId));
  }

  async function commit(batch: MessageBatch): Promise<LogCommitResult> {
    const partition = await own(batch.partition);
    // Under a later ownership, what was fetched before it may leave a gap.
    const fenced = batch.epoch !== undefined && batch.epoch !== partition.ownerEpoch;
    const committed = log.commit({
      partition: fenced ? { ...partition, ownerEpoch: batch.epoch! } : partition,
      events: entriesOf(batch, partition.partitionId),
      deadLetters: batch.deadLetters,
      lastOffset: batch.lastOffset,
      ...(batch.pushes === undefined ? {} : { pushes: batch.pushes }),
      ...(batch.cursor === undefined ? {} : { cursor: batch.cursor }),
    });
    return committed.catch((error: unknown) => {
      // Should it come back to this process, it is taken over again.
      if (codeOf(error) === "PARTITION_FENCED") owned.delete(batch.partition);
      throw error;
    });
  }

  /** Steps 2 and 3 for one batch. */
  async function foldAndWrite(
    { partition, lastOffset, behind = 0 }: MessageBatch,
    inserted: readonly LoggedEvent[],
  ): Promise<number> {
    const started = seconds();
    const { partitionId } = owned.get(partition)!;
    let foldSeconds = 0;
    try {
      // A repair may have folded this batch already.
      const after = unwritten.get(partitionId) ?? written.get(partitionId) ?? -1;
      const events =
        inserted[0] !== undefined && inserted[0].offset <= after ? inserted.filter((e) => e.offset > after) : inserted;
      const clocks = sourceClock.advance(events);
      for (const folder of folders) {
        const from = seconds();
        await foldSlices(folder, events, clocks);
        foldSeconds += seconds() - from;
      }
      if (unwritten.size === 0) unwrittenSince = started;
      unwritten.set(partitionId, lastOffset);
      unwrittenEvents += events.length;
      const isContended = seconds() - contendedAt < CONTENDED_SECONDS;
      const isMany = isContended ? unwrittenEvents >= keptEvents : unwrittenValues() >= writeValues;
      const enough = isMany || seconds() - unwrittenSince >= WRITE_SECONDS;
      if (!isContended && unwrittenEvents > keptEvents) for (const folder of folders) folder.forgetEvents();
      waitNoLonger();
      const isBacklog = waiting > 0 || events.length >= BACKLOG || behind >= BACKLOG;
      if (!isBacklog || (enough && (isContended || sink.capabilities.sorted === true))) await writeFolded();
      else if (enough || round !== null) await writePart(Math.max(events.length, unwrittenValues() - writeValues));
      if (unwritten.size > 0 && waiting === 0) writeWithin(behind < BACKLOG ? WAIT_MS : WAIT_BEHIND_MS);
    } catch (error) {
      broken = true;
      throw error;
    }
    return foldSeconds;
  }

  /** Unless a backlog's next batch, which is still being decoded by this very thread, is here before. */
  function writeWithin(ms: number): void {
    writing = setTimeout(() => {
      writing = null;
      if (waiting === 0 && !broken && unwritten.size > 0) next(writeFolded).catch(() => {});
    }, ms).unref();
  }

  function waitNoLonger(): void {
    if (writing !== null) clearTimeout(writing);
    writing = null;
  }

  async function writeFolded(): Promise<void> {
    waitNoLonger();
    await timedWrite(async () => {
      for (const folder of folders) writes += await folder.write(clock(), prunable);
    });
    if (unwrittenEvents > 0) await sourceClock.write();
    for (const [partitionId, offset] of unwritten) written.set(partitionId, offset);
    unwritten.clear();
    unwrittenEvents = 0;
    round = null;
    if (seconds() - flushedAt >= FLUSH_SECONDS) startFlush();
  }

  /**
   * Writes some of the values that were changed when the round began: all at once would keep the next commits waiting
   * meanwhile, and the cold store idle.
   */
  async function writePart(most: number): Promise<void> {
    round ??= {
      upTo: new Map(unwritten),
      events: unwrittenEvents,
      since: seconds(),
      left: folders.map((folder) => folder.unwritten),
    };
    const current = round;
    await timedWrite(async () => {
      let room = most;
      for (const [index, folder] of folders.entries()) {
        const part = Math.min(room, current.left[index]!);
        if (part === 0) continue;
        writes += await folder.write(clock(), prunable, part);
        current.left[index]! -= part;
        room -= part;
      }
    });
    if (current.left.some((count) => count > 0)) return;
    await sourceClock.write();
    for (const [partitionId, offset] of current.upTo) {
      written.set(partitionId, offset);
      if (unwritten.get(partitionId) === offset) unwritten.delete(partitionId);
    }
    unwrittenEvents -= current.events;
    unwrittenSince = current.since;
    round = null;
    if (seconds() - flushedAt >= FLUSH_SECONDS) startFlush();
  }

  async function timedWrite(run: () => Promise<void>): Promise<void> {
    const started = seconds();
    const conflicts = conflictsSeen();
    try {
      await run();
    } finally {
      if (conflictsSeen() > conflicts) contendedAt = seconds();
    }
    wroteAt = seconds();
    writeSeconds += wroteAt - started;
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

  function startFlush(): void {
    flushedAt = seconds();
    flushing ??= flushOnce().then(
      () => {
        flushing = null;
      },
      (error: unknown) => {
        // What is not durable yet is waited for; whatever else went wrong, the next batch repairs.
        if (!isNotDurable(error)) broken = true;
        flushing = null;
      },
    );
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

  async function flushOnce(): Promise<void> {
    const upTo = [...written];
    const marks = folders.flatMap(({ keyspace }) =>
      upTo.map(([partitionId, offset]) => ({ keyspace, partitionId, offset })),
    );
    await sink.mark(marks, session);
    await sink.durable();
    await log.setApplied(
      folders.flatMap((folder) =>
        upTo.map(([partitionId, offset]) => ({ viewVersion: appliedName(folder), partitionId, offset })),
      ),
    );
    for (const [partitionId, offset] of upTo) durable.set(partitionId, Math.max(offset, durableApplied(partitionId)));
    if (keepSeconds > 0 && seconds() - agingSince >= keepSeconds) {
      aged = aging;
      aging = new Map(durable);
      agingSince = seconds();
    }
  }

  async function flush(): Promise<void> {
    await settled();
    await tend();
    if (flushing !== null) await flushing;
    await flushOnce();
  }

  async function handle(batch: MessageBatch): Promise<void> {
    const started = seconds();
    let result: LogCommitResult;
    let commitSeconds: number;
    waiting++;
    try {
      result = await commit(batch);
      commitSeconds = seconds() - started;
      // The batch before this one was folded while this one was decoded and committed: one fold at most is behind.
      await folding.catch(() => {});
      if (broken) await repair();
      // An entity may be gone: nothing of it may live on in memory.
      const { erasures = 0 } = result;
      if (erasures !== erasuresSeen) {
        erasuresSeen = erasures;
        if (unwritten.size > 0) await repair();
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
    const since = { writes, writeSeconds };
    writes = 0;
    writeSeconds = 0;
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
    if (!broken && unwritten.size > 0) await next(writeFolded).catch(() => {});
    if (broken) await repair();
  }

  /** Repairs also what the hot store lost while nothing was written; writes what no further batch will come for. */
  async function tend(): Promise<void> {
    await folding.catch(() => {});
    const standsStill = seconds() - Math.max(unwrittenSince, wroteAt) >= WRITE_SECONDS;
    const isLeft = (waiting === 0 && writing === null) || standsStill;
    if (!broken && unwritten.size > 0 && isLeft) await next(writeFolded).catch(() => {});
    if (broken) await repair();
    try {
      await sink.checkSession(session);
    } catch (error) {
      broken = true;
      if (!isRolledBack(error)) throw error;
      await repair();
    }
    if (keepSeconds > 0) await sourceClock.write();
    const behind = [...written].some(([partitionId, offset]) => offset > durableApplied(partitionId));
    if (behind && flushing === null && seconds() - flushedAt >= FLUSH_SECONDS) startFlush();
  }

  return {
    recover: repair,
    async resumeAfter(partition, how) {
      if (how === "look") {
        const known = (await log.partitions(source.name)).find((p) => p.partition === partition);
        return { offset: known?.committed ?? -1, cursor: known?.cursor ?? null };
      }
      owned.delete(partition);
      const { committed, cursor, ownerEpoch } = await own(partition);
      return { offset: committed, cursor, epoch: ownerEpoch };
    },
    prepare(batch) {
      const partition = owned.get(batch.partition);
      if (partition === undefined) return;
      const { partitionId } = partition;
      prepared.set(batch, { partitionId, events: batch.messages.map((message) => toLogged(message, partitionId)) });
    },
    handle,
    tend,
    settled,
    flush,
    clock,
  };
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function isNotDurable(error: unknown): boolean {
  return codeOf(error) === "ONLINE_STORE_NOT_DURABLE";
}

function isRolledBack(error: unknown): boolean {
  return codeOf(error) === "ONLINE_STORE_ROLLED_BACK";
}

/** Epoch milliseconds; null of none. */
function newestOf(events: LogCommitResult["inserted"]): number | null {
  let newest = Number.NEGATIVE_INFINITY;
  for (const { eventTime } of events) if (eventTime > newest) newest = eventTime;
  return events.length === 0 ? null : newest;
}
