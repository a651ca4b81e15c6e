import { channel } from "node:diagnostics_channel";
import type { SourceMeta } from "../../definitions/source.ts";
import type { MessageBatch } from "../../ingestion/stream-message.ts";
import type { ViewLayout } from "../windows/view-layout.ts";
import {
  ENGINE_BATCH_CHANNEL,
  ENGINE_RECOVERY_CHANNEL,
  type EngineBatchEvent,
  type EngineRecoveryEvent,
} from "./channels.ts";
import type { EventLog, LogCommitResult, LoggedEvent, OwnedPartition } from "./event-log.ts";
import type { FeatureSink } from "./feature-sink.ts";
import { createMessageLogger } from "./message-logger.ts";
import { metaNames } from "./meta-names.ts";
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
  /** Entities per view that stay in memory, at least. Default 65,536. */
  readonly cacheCapacity?: number;
  /** Values per write to the hot store. Default 8,000. */
  readonly writeBatch?: number;
}

/** The embedded stream engine of one source: the four steps by which nothing is lost and nothing counted twice. */
export interface FoldEngine {
  /**
   * Folds what the log holds and the hot store does not: after a crash, and to fill new view versions. To be called
   * once, before the first batch. `fold` resolves when everything committed is readable.
   */
  recover(): Promise<void>;
  /** Where a partition resumes: after the last committed offset (−1 if none). Takes the partition over, unless `look`. */
  resumeAfter(partition: string, how?: "look"): Promise<{ readonly offset: number; readonly cursor: string | null }>;
  /**
   * Commits a batch to the log, then folds what is new and writes the hot store. Resolves when it is committed and the
   * batch before it is readable: so decoding, committing and folding overlap. One call at a time.
   */
  handle(batch: MessageBatch): Promise<void>;
  /** Resolves when everything handled is readable; repairs first if a write failed. */
  settled(): Promise<void>;
  /** To be called now and then: repairs after an error of the hot store, also when no new batch comes. */
  tend(): Promise<void>;
  /** Makes `applied` durable for everything handled. */
  flush(): Promise<void>;
  /** The source's clock; epoch milliseconds; −Infinity before the first event of a stream clock. */
  clock(): number;
}

/** Events folded at once during recovery and within a batch: bounds memory, and is below the cache's capacity. */
const SLICE = 8_192;
/** How often `applied` follows what was written. What lies between is folded again after a crash, and skipped. */
const FLUSH_SECONDS = 0.25;

const batches = channel(ENGINE_BATCH_CHANNEL);
const recoveries = channel(ENGINE_RECOVERY_CHANNEL);

export function createFoldEngine(options: FoldEngineOptions): FoldEngine {
  const { source, log, sink, now, seconds } = options;
  const folders = options.views.map(({ layout, keyspace }) =>
    createViewFolder({
      layout,
      keyspace,
      sink,
      cacheCapacity: Math.max(2 * SLICE, options.cacheCapacity ?? 65_536),
      writeBatch: options.writeBatch ?? 8_000,
    }),
  );
  const toLogged = createMessageLogger(source);
  const owned = new Map<string, OwnedPartition>();
  /** Per partition id: the last offset whose values are in the hot store, and the last that is durably so. */
  const written = new Map<number, number>();
  const durable = new Map<number, number>();
  let streamClock = Number.NEGATIVE_INFINITY;
  let instance = "";
  let folding: Promise<unknown> = Promise.resolve();
  let flushing: Promise<void> | null = null;
  let flushedAt = Number.NEGATIVE_INFINITY;
  let broken = false;

  const clock = (): number => (source.clock === "wall" ? now() : streamClock);
  const appliedName = (folder: ViewFolder): string => `${folder.keyspace}#${instance}`;
  const durableApplied = (partitionId: number): number => durable.get(partitionId) ?? -1;

  /** The clock at each event; a stream clock moves with them: to the first instant after the largest event time. */
  function advance(events: readonly LoggedEvent[]): Float64Array {
    const clocks = new Float64Array(events.length);
    if (source.clock === "wall") return clocks.fill(now());
    for (let i = 0; i < events.length; i++) {
      const after = events[i]!.eventTime + 1;
      if (after > streamClock) streamClock = after;
      clocks[i] = streamClock;
    }
    return clocks;
  }

  async function writeClock(): Promise<void> {
    if (source.clock === "stream" && streamClock !== Number.NEGATIVE_INFINITY) {
      await sink.writeMeta(new Map([[metaNames.clock(source.name), String(streamClock)]]));
    }
  }

  async function loadInstance(): Promise<void> {
    const [known, storedClock] = await sink.readMeta([metaNames.instance, metaNames.clock(source.name)]);
    if (storedClock !== null && storedClock !== undefined) streamClock = Number(storedClock);
    if (known !== null && known !== undefined) {
      instance = known;
    } else {
      instance = options.newInstance();
      await sink.writeMeta(new Map([[metaNames.instance, instance]]));
    }
  }

  async function recover(): Promise<void> {
    await loadInstance();
    const partitions = await log.partitions(source.name);
    // A key space that was never filled to the end, or was dropped, starts from nothing; stored positions tell what it has.
    const filled = await sink.readMeta(folders.map((folder) => metaNames.ready(folder.keyspace)));
    const applied = await Promise.all(
      folders.map(async (folder, index) => {
        const positions = filled[index] === "1" ? await log.applied(appliedName(folder)) : [];
        return new Map(positions.map((p) => [p.partitionId, p.offset]));
      }),
    );
    const behind = partitions.map((partition) => ({
      partition,
      from: Math.min(...applied.map((positions) => positions.get(partition.partitionId) ?? -1)),
    }));
    const total = behind.reduce((sum, { partition, from }) => sum + Math.max(0, partition.committed - from), 0);
    let done = 0;
    const report = (finished: boolean): void => {
      if (!recoveries.hasSubscribers) return;
      recoveries.publish({ source: source.name, events: done, total, done: finished } satisfies EngineRecoveryEvent);
    };
    report(false);
    for (const { partition, from } of behind) {
      for await (const events of log.read(source.name, partition.partitionId, from, partition.committed)) {
        const clocks = advance(events);
        for (const [index, folder] of folders.entries()) {
          const after = applied[index]!.get(partition.partitionId) ?? -1;
          const first = events.findIndex((event) => event.offset > after);
          if (first >= 0) await foldSlices(folder, events.slice(first), clocks.subarray(first));
          // Positions stay until all of the partition is durable: a crash during recovery folds it again.
          await folder.write(clock(), durableApplied);
        }
        done += events.length;
        report(false);
      }
      written.set(partition.partitionId, partition.committed);
    }
    await writeClock();
    await flushing;
    await flushOnce();
    await sink.writeMeta(new Map(folders.map((folder) => [metaNames.ready(folder.keyspace), "1"])));
    report(true);
  }

  async function foldSlices(folder: ViewFolder, events: readonly LoggedEvent[], clocks: Float64Array): Promise<void> {
    for (let from = 0; from < events.length; from += SLICE) {
      await folder.fold(events.slice(from, from + SLICE), clocks.subarray(from, from + SLICE));
    }
  }

  async function own(partition: string): Promise<OwnedPartition> {
    let found = owned.get(partition);
    if (found === undefined) {
      found = await log.own(source.name, partition);
      owned.set(partition, found);
    }
    return found;
  }

  async function commit(batch: MessageBatch): Promise<LogCommitResult> {
    const partition = await own(batch.partition);
    return log.commit({
      partition,
      events: batch.messages.map((message) => toLogged(message, partition.partitionId)),
      deadLetters: batch.deadLetters,
      lastOffset: batch.lastOffset,
      ...(batch.pushes === undefined ? {} : { pushes: batch.pushes }),
      ...(batch.cursor === undefined ? {} : { cursor: batch.cursor }),
    });
  }

  /** Steps 2 and 3 for one batch. */
  async function foldAndWrite(
    partition: string,
    inserted: readonly LoggedEvent[],
    lastOffset: number,
  ): Promise<[number, number, number]> {
    const started = seconds();
    const { partitionId } = owned.get(partition)!;
    let foldSeconds = 0;
    let writes = 0;
    try {
      // A repair may have folded this batch already.
      const after = written.get(partitionId) ?? -1;
      const events =
        inserted[0] !== undefined && inserted[0].offset <= after ? inserted.filter((e) => e.offset > after) : inserted;
      const clocks = advance(events);
      for (const folder of folders) {
        const from = seconds();
        await foldSlices(folder, events, clocks);
        foldSeconds += seconds() - from;
        writes += await folder.write(clock(), durableApplied);
      }
      if (events.length > 0) await writeClock();
    } catch (error) {
      broken = true;
      throw error;
    }
    written.set(partitionId, lastOffset);
    if (seconds() - flushedAt >= FLUSH_SECONDS) startFlush();
    return [writes, foldSeconds, seconds() - started - foldSeconds];
  }

  function startFlush(): void {
    flushedAt = seconds();
    flushing ??= flushOnce().then(
      () => {
        flushing = null;
      },
      () => {
        // The next batch repairs what may not have become durable.
        broken = true;
        flushing = null;
      },
    );
  }

  async function repair(): Promise<void> {
    for (const folder of folders) folder.reset();
    await recover();
    broken = false;
  }

  async function flushOnce(): Promise<void> {
    const upTo = [...written];
    await sink.durable();
    await log.setApplied(
      folders.flatMap((folder) =>
        upTo.map(([partitionId, offset]) => ({ viewVersion: appliedName(folder), partitionId, offset })),
      ),
    );
    for (const [partitionId, offset] of upTo) durable.set(partitionId, Math.max(offset, durableApplied(partitionId)));
  }

  async function flush(): Promise<void> {
    await tend();
    if (flushing !== null) await flushing;
    await flushOnce();
  }

  async function handle(batch: MessageBatch): Promise<void> {
    const started = seconds();
    const result = await commit(batch);
    const commitSeconds = seconds() - started;
    // The batch before this one was folded while this one was decoded and committed: one fold at most is behind.
    await folding.catch(() => {});
    if (broken) await repair();
    folding = foldAndPublish(batch, result, commitSeconds);
    // After a failure the next `handle`, `settled` or `tend` repairs from the log, and rejects if it cannot.
    folding.catch(() => {});
  }

  async function foldAndPublish(batch: MessageBatch, result: LogCommitResult, commitSeconds: number): Promise<void> {
    const [writes, foldSeconds, writeSeconds] = await foldAndWrite(batch.partition, result.inserted, batch.lastOffset);
    if (!batches.hasSubscribers) return;
    batches.publish({
      source: source.name,
      events: result.inserted.length,
      duplicates: result.duplicates,
      conflicts: result.conflicts,
      nullKeys: folders.reduce((sum, folder) => sum + folder.nullKeys, 0),
      writes,
      commitSeconds,
      foldSeconds,
      writeSeconds,
      clock: clock(),
    } satisfies EngineBatchEvent);
  }

  /** Repairs the hot store from the log if a write or a flush failed. */
  async function tend(): Promise<void> {
    await folding.catch(() => {});
    if (broken) await repair();
    const behind = [...written].some(([partitionId, offset]) => offset > durableApplied(partitionId));
    if (behind && flushing === null && seconds() - flushedAt >= FLUSH_SECONDS) startFlush();
  }

  return {
    recover,
    async resumeAfter(partition, how) {
      if (how === "look") {
        const known = (await log.partitions(source.name)).find((p) => p.partition === partition);
        return { offset: known?.committed ?? -1, cursor: known?.cursor ?? null };
      }
      const { committed, cursor } = await own(partition);
      return { offset: committed, cursor };
    },
    handle,
    tend,
    settled: tend,
    flush,
    clock,
  };
}
