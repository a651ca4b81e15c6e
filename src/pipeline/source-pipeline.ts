import type { ConnectionsConfig } from "../config/connections.ts";
import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import type { SourceMeta } from "../definitions/source.ts";
import { createFoldEngine, type FoldEngine } from "../feature_engineering/engine/fold-engine.ts";
import { metaNames } from "../feature_engineering/engine/meta-names.ts";
import type { OfflineStore, SourceTable } from "../feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import { createViewRuntime, type ViewRuntime } from "../feature_store/view-runtime.ts";
import type { DeadLetterThreshold } from "../ingestion/dead-letter-share.ts";
import { compileFormat, type FormatDecoder } from "../ingestion/decoders/compile-format.ts";
import { compileMessageDecoder } from "../ingestion/decoders/message-decoder.ts";
import { schemaRegistry } from "../ingestion/decoders/schema-registry.ts";
import type { IdempotencyLog } from "../ingestion/idempotency-log.ts";
import type { MessageSource } from "../ingestion/message-source.ts";
import { httpPush, type PushOptions, type PushResult } from "../ingestion/sources/http-push.ts";
import { type MemorySource, memorySource } from "../ingestion/sources/memory-source.ts";
import type { ReplayClock } from "../ingestion/sources/replay-clock.ts";
import {
  type IngestionStatus,
  type StreamIngestion,
  type StreamIngestionOptions,
  streamIngestion,
} from "../ingestion/stream-ingestion.ts";
import { beginsAtMoment, caughtUp } from "./catch-up.ts";
import { follower } from "./follow-log.ts";
import { type BoardPartition, partitionBoard } from "./partition-board.ts";
import { partitionRuns } from "./partition-runs.ts";
import { createPushLoop } from "./push-loop.ts";
import { sourceReader } from "./source-reader.ts";

export interface SourcePipelineOptions {
  readonly source: SourceMeta;
  /** The views of the source. */
  readonly views: readonly FeatureViewMeta[];
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  readonly clock: ReplayClock;
  /** How brokers are reached. */
  readonly connections: ConnectionsConfig;
  /** Names this process among those that share the stores; null where no other process writes them. */
  readonly holder: string | null;
  readonly maxBatch: number;
  readonly cacheCapacity?: number;
  /** Above which share of bad messages the source stops. Default: half of the last 1,000. */
  readonly deadLetterThreshold?: DeadLetterThreshold;
  readonly onFunctionFailure?: (where: string) => void;
  /** Told when a loop ended with an error. */
  readonly onFailure?: (source: string, error: unknown) => void;
  readonly now: () => number;
  /** Where copies of files from elsewhere are kept. Default: the system's folder for temporary files. */
  readonly filesFolder?: string;
}

export interface SourceStatus extends IngestionStatus {
  readonly clock: number | null;
  /** All of the source's, whichever process reads them. */
  readonly partitions: readonly BoardPartition[];
}

/** Ingestion and engine of one source: a loop that reads it, and one for events that are pushed over HTTP. */
export interface SourcePipeline {
  readonly source: SourceMeta;
  readonly views: readonly ViewRuntime[];
  readonly engine: FoldEngine;
  /** Takes events over HTTP; see `HttpPushSource`. Rejects with `SOURCE_CLOSED` while the loop does not run. */
  push(events: readonly unknown[] | string, options?: PushOptions): Promise<PushResult>;
  /** Takes one message in the source's own format, as its transport would have brought it. */
  pushMessage(bytes: Uint8Array, options?: PushOptions): Promise<PushResult>;
  /** The feeding end of a memory source. */
  readonly memory: MemorySource | null;
  /** Starts both loops, or that of pushed events only. Resolves when pushes are taken, or their loop has failed. */
  start(what: "all" | "pushed"): Promise<void>;
  /** Resolves when a source that ends has ended and everything is readable. */
  finished(): Promise<void>;
  status(): Promise<SourceStatus>;
  /** See {@link caughtUp}; at once for sources that do not begin at a moment. */
  caughtUp(signal: AbortSignal): Promise<boolean>;
  /**
   * To be called now and then where processes share the stores: folds what a process left that has died, and tells the
   * others what this one reads.
   */
  follow(): Promise<void>;
  /** Ends the loops and makes everything durable. */
  stop(how: "drain" | "close"): Promise<void>;
}

export function createSourcePipeline(options: SourcePipelineOptions): SourcePipeline {
  const { source, online, offline, now } = options;
  const views = options.views.map((view) => createViewRuntime(view, options.onFunctionFailure));
  const engine = engineOf(options, views);
  // The file's loop and the pushed events' loop take turns: the engine handles one batch at a time.
  let turn: Promise<unknown> = Promise.resolve();
  const handler: Parameters<typeof streamIngestion>[0]["handler"] = (batch) => {
    const handled = turn.then(
      () => engine.handle(batch),
      () => engine.handle(batch),
    );
    turn = handled;
    return handled;
  };
  const decoder = compileMessageDecoder(source.columns, { eventTime: source.eventTime });
  const eventTimeIndex = source.columns.findIndex((column) => column.name === source.eventTime);
  const futureBoundMs = source.clock === "stream" ? null : source.futureBoundMs;
  const loop = (reader: MessageSource, decoding: Pick<StreamIngestionOptions, "decode" | "prepare">): StreamIngestion =>
    streamIngestion({
      source: source.name,
      reader,
      ...decoding,
      eventTimeIndex,
      futureBoundMs,
      resume: (partition, how) => engine.resumeAfter(partition, how),
      handler,
      prepareBatch: engine.prepare,
      now,
      maxBatch: options.maxBatch,
      ...(options.deadLetterThreshold === undefined ? {} : { deadLetterThreshold: options.deadLetterThreshold }),
    });
  const known = idempotencyLog(source, offline, now);
  const pushes = createPushLoop({
    source: source.name,
    leases: offline.leases ?? null,
    holder: options.holder,
    make: (partition) => httpPush({ decoder, futureBoundMs, partition, idempotencyLog: known, now }),
    loop: (pushed) => loop(pushed, { decode: decoder.decode }),
    ...(options.onFailure === undefined ? {} : { onFailure: options.onFailure }),
  });
  const memory = source.connector.connector === "memory" ? memorySource() : null;
  const { clock, connections, holder } = options;
  const { leases } = offline;
  const reader =
    sourceReader({
      source,
      connections,
      clock,
      idempotencyLog: known,
      shared: leases === undefined || holder === null ? null : { leases, holder },
      ...(options.filesFolder === undefined ? {} : { filesFolder: options.filesFolder }),
    }) ?? memory;
  const format = formatOf(source, connections);
  const main = reader === null ? null : loop(reader, format);
  let reading: Promise<void> | null = null;

  function run(one: StreamIngestion): Promise<void> {
    const running = one.run().catch((error: unknown) => {
      options.onFailure?.(source.name, error);
      throw error;
    });
    running.catch(() => {});
    return running;
  }

  const board = partitionBoard({
    source: source.name,
    offline,
    shared: holder !== null,
    folds: views.map(({ keyspace }) => keyspace),
    now,
  });
  const running = async (): Promise<IngestionStatus> => {
    const pushed = await pushes.status();
    if (reading === null || main === null) return pushed;
    const read = await main.status();
    return { ...read, partitions: [...read.partitions, ...pushed.partitions] };
  };
  const follow = follower({
    source: source.name,
    views,
    engine,
    online,
    offline,
    foldedByReader: async () => board.foldedByReader((await running()).partitions),
    seconds: () => performance.now() / 1_000,
  });

  return {
    source,
    views,
    engine,
    memory,
    push: pushes.push,
    async pushMessage(bytes, pushOptions) {
      const message = { partition: "", offset: 0, key: null, value: bytes, ingestedAt: null, headers: {} };
      await format.prepare!([message]);
      return pushes.pushDecoded(bytes, format.decode(message), pushOptions);
    },
    async start(what) {
      if (what === "all" && main !== null) reading = run(main);
      await pushes.start();
    },
    async follow() {
      await board.tell((await running()).partitions);
      await follow();
    },
    async finished() {
      if (reading !== null) await reading;
      await engine.settled();
    },
    async status() {
      const status = await running();
      const at = engine.clock();
      return { ...status, partitions: await board.all(status.partitions), clock: Number.isFinite(at) ? at : null };
    },
    async caughtUp(signal) {
      if (!beginsAtMoment(source)) return true;
      const partitions = async () => board.all((await running()).partitions);
      return caughtUp({ source, offline, connections, partitions, settled: engine.settled }, signal);
    },
    async stop(how) {
      await Promise.allSettled([main?.[how](), pushes.stop(how)]);
      await Promise.allSettled([reading]);
      await engine.settled();
      await engine.flush();
      await board.leave();
    },
  };
}

/** Fills view versions of the source from the log, while another pipeline goes on with the source and its clock. */
export async function fillViews(options: SourcePipelineOptions): Promise<void> {
  const { online } = options;
  const clock = metaNames.clock(options.source.name);
  const sink: OnlineStore = {
    ...online,
    writeMeta: (facts) => online.writeMeta(new Map([...facts].filter(([name]) => name !== clock))),
  };
  const views = options.views.map((view) => createViewRuntime(view, options.onFunctionFailure));
  await engineOf({ ...options, online: sink }, views).recover();
}

/** What the cold store must know of a source. */
export function sourceTable(
  source: SourceMeta,
  views: readonly { readonly keyColumns: readonly string[] }[],
): SourceTable {
  return {
    source: source.name,
    columns: source.columns.map(({ name, type }) => ({ name, type })),
    hasId: source.id !== null || source.kind === "table_source",
    keys: views.map((view) => view.keyColumns),
  };
}

function engineOf(options: SourcePipelineOptions, views: readonly ViewRuntime[]): FoldEngine {
  const { source, offline, online, now, cacheCapacity } = options;
  return createFoldEngine({
    source,
    views,
    log: partitionRuns(offline, source.name).log,
    sink: online,
    newInstance: () => crypto.randomUUID(),
    now,
    seconds: () => performance.now() / 1_000,
    // Another process may still be about to fold what it committed: until it cannot be any more, positions say so.
    keepPositionsSeconds: options.holder === null ? 0 : 60,
    ...(cacheCapacity === undefined ? {} : { cacheCapacity }),
  });
}

/** How the messages of a source's transport are decoded; compiled when the first come. */
function formatOf(
  source: SourceMeta,
  { schemaRegistry: registry }: ConnectionsConfig,
): Pick<StreamIngestionOptions, "decode" | "prepare"> {
  let compiled: FormatDecoder | null = null;
  return {
    async prepare(messages) {
      compiled ??= await compileFormat({
        columns: source.columns,
        eventTime: source.eventTime,
        format: source.format,
        registry: registry === undefined ? null : schemaRegistry(registry),
      });
      await compiled.prepare(messages);
    },
    decode: (message) => compiled!.decode(message),
  };
}

function idempotencyLog(source: SourceMeta, offline: OfflineStore, now: () => number): IdempotencyLog {
  const { connector } = source;
  const windowMs = "idempotencyWindowMs" in connector ? connector.idempotencyWindowMs : 86_400_000;
  return {
    seen: (keys) => offline.seenPushes(source.name, keys, now() - windowMs),
    // The cold store records them in the transaction that commits their batch.
    record: async () => {},
  };
}
