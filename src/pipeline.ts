import { millraceError } from "./definitions/errors.ts";
import type { FeatureViewMeta } from "./definitions/feature-view.ts";
import type { SourceMeta } from "./definitions/source.ts";
import { createFoldEngine, type FoldEngine } from "./feature_engineering/engine/fold-engine.ts";
import { viewVersion } from "./feature_engineering/plan/plan-hash.ts";
import type { OfflineStore } from "./feature_store/offline/offline-store.ts";
import type { OnlineStore } from "./feature_store/online/online-store.ts";
import { dropUndeclared, sweepExpired } from "./feature_store/sweep.ts";
import { createViewRuntime, type ViewRuntime } from "./feature_store/view-runtime.ts";
import { compileMessageDecoder } from "./ingestion/decoders/message-decoder.ts";
import type { memoryIdempotencyLog } from "./ingestion/idempotency-log.ts";
import type { MessageSource } from "./ingestion/message-source.ts";
import { fileReplay } from "./ingestion/sources/file-replay.ts";
import { type HttpPushSource, httpPush, type PushOptions, type PushResult } from "./ingestion/sources/http-push.ts";
import { type MemorySource, memorySource } from "./ingestion/sources/memory-source.ts";
import { type ReplayClock, replayClock } from "./ingestion/sources/replay-clock.ts";
import { type IngestionStatus, type StreamIngestion, streamIngestion } from "./ingestion/stream-ingestion.ts";

export interface PipelineOptions {
  readonly sources: readonly SourceMeta[];
  readonly views: readonly FeatureViewMeta[];
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** How files are replayed. Default: flat out. */
  readonly replay?: { readonly speed?: number | "max"; readonly hold?: boolean };
  /** The most messages per batch: only a backlog fills it. Default 16,000. */
  readonly maxBatch?: number;
  readonly cacheCapacity?: number;
  readonly onFunctionFailure?: (where: string) => void;
  /** Told when a source's loop ended with an error. */
  readonly onFailure?: (source: string, error: unknown) => void;
  /** Wall clock; epoch milliseconds. */
  readonly now?: () => number;
}

export interface PipelineStatus {
  readonly sources: readonly (IngestionStatus & { readonly clock: number | null })[];
}

/** The write side: ingestion, engine and stores of all sources, in one thread. */
export interface Pipeline {
  /** Prepares the stores and folds what the log holds and the hot store does not: afterwards every view is ready. */
  recover(): Promise<void>;
  /** Starts the loops of all sources. Resolves when pushes are taken. */
  start(): Promise<void>;
  /** Takes events over HTTP for any source; see `HttpPushSource`. `SOURCE_UNKNOWN` for another name. */
  push(source: string, events: readonly unknown[] | string, options?: PushOptions): Promise<PushResult>;
  /** Lets replays deliver the events before `t` and resolves when all of them are readable. Epoch milliseconds. */
  advanceTo(t: number): Promise<void>;
  /** Lets replays deliver everything. */
  release(): void;
  /** Resolves when every source that ends has ended and everything is readable. */
  finished(): Promise<void>;
  /** The feeding end of a memory source. */
  memory(source: string): MemorySource;
  status(): Promise<PipelineStatus>;
  /** Stops fetching, hands on what was fetched, makes everything durable. The stores stay open. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

interface SourcePipeline {
  readonly source: SourceMeta;
  readonly views: readonly ViewRuntime[];
  readonly engine: FoldEngine;
  readonly main: StreamIngestion | null;
  readonly pushed: StreamIngestion;
  readonly push: HttpPushSource;
  readonly memory: MemorySource | null;
  /** Resolves when pushes are taken. */
  readonly opened: Promise<void>;
  runs: Promise<unknown>[];
}

/** How often the hot store is tended and `applied` made durable, milliseconds. */
const TEND_MS = 1_000;
/** How often values that have left all windows are looked for, milliseconds. */
const SWEEP_MS = 60_000;

export function createPipeline(options: PipelineOptions): Pipeline {
  const { offline, online } = options;
  const now = options.now ?? Date.now;
  const clock: ReplayClock = replayClock({
    speed: options.replay?.speed ?? "max",
    hold: options.replay?.hold ?? false,
  });
  const pipelines = new Map(options.sources.map((source) => [source.name, sourcePipeline(source)]));
  let tending: NodeJS.Timeout | null = null;
  let swept = performance.now();
  let closed = false;

  function sourcePipeline(source: SourceMeta): SourcePipeline {
    const views = options.views
      .filter((view) => view.source.name === source.name)
      .map((view) => createViewRuntime(view, options.onFunctionFailure));
    const engine = createFoldEngine({
      source,
      views,
      log: offline,
      sink: online,
      newInstance: () => crypto.randomUUID(),
      now,
      seconds: () => performance.now() / 1_000,
      ...(options.cacheCapacity === undefined ? {} : { cacheCapacity: options.cacheCapacity }),
    });
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
    const futureBoundMs = source.clock === "stream" ? null : source.futureBoundMs;
    const loop = (reader: MessageSource): StreamIngestion =>
      streamIngestion({
        source: source.name,
        reader,
        decode: decoder.decode,
        eventTimeIndex: source.columns.findIndex((column) => column.name === source.eventTime),
        futureBoundMs,
        resume: (partition, how) => engine.resumeAfter(partition, how),
        handler,
        now,
        maxBatch: options.maxBatch ?? 16_000,
      });
    const push = httpPush({
      decoder,
      futureBoundMs,
      partition: "http:0",
      idempotencyLog: idempotencyLog(source),
      now,
    });
    const memory = source.connector.connector === "memory" ? memorySource() : null;
    const reader = source.connector.connector === "file_replay" ? replayOf(source) : memory;
    const opened = Promise.withResolvers<void>();
    const opening: MessageSource = {
      ...push,
      async open(resume) {
        await push.open(resume);
        opened.resolve();
      },
    };
    const main = reader && loop(reader);
    return { source, views, engine, main, pushed: loop(opening), push, memory, opened: opened.promise, runs: [] };
  }

  function replayOf(source: SourceMeta): MessageSource {
    const { connector } = source;
    if (connector.connector !== "file_replay") throw millraceError("BUG", "Not a replay.", { kind: "bug" });
    const arrival = source.columns.find((column) => column.name === source.ingestedAt);
    return fileReplay({
      paths: connector.paths,
      columns: source.columns,
      eventTime: source.eventTime,
      nulls: connector.nullTexts,
      clock,
      name: source.name,
      ...(connector.format === null ? {} : { format: connector.format }),
      ...(arrival === undefined ? {} : { ingestedAt: arrival }),
    });
  }

  function idempotencyLog(source: SourceMeta): ReturnType<typeof memoryIdempotencyLog> {
    const windowMs = source.connector.connector === "http_push" ? source.connector.idempotencyWindowMs : 86_400_000;
    return {
      seen: (keys) => offline.seenPushes(source.name, keys, now() - windowMs),
      // The cold store records them in the transaction that commits their batch.
      record: async () => {},
    };
  }

  function pipelineOf(name: string): SourcePipeline {
    const found = pipelines.get(name);
    if (found !== undefined) return found;
    throw millraceError(
      "SOURCE_UNKNOWN",
      `There is no source '${name}': declared are ${[...pipelines.keys()].join(", ") || "none"}.`,
    );
  }

  function run(pipeline: SourcePipeline, loop: StreamIngestion): Promise<void> {
    return loop.run().catch((error: unknown) => {
      options.onFailure?.(pipeline.source.name, error);
      throw error;
    });
  }

  async function tend(): Promise<void> {
    const sweep = performance.now() - swept > SWEEP_MS;
    if (sweep) swept = performance.now();
    for (const { source, engine, views } of pipelines.values()) {
      try {
        await engine.tend();
        if (sweep) for (const view of views) await sweepExpired(online, view, engine.clock());
      } catch (error) {
        options.onFailure?.(source.name, error);
      }
    }
    if (!closed) tending = setTimeout(() => void tend(), TEND_MS);
  }

  async function stop(how: "drain" | "close"): Promise<void> {
    closed = true;
    if (tending !== null) clearTimeout(tending);
    for (const pipeline of pipelines.values()) {
      await Promise.allSettled([pipeline.main?.[how](), pipeline.pushed[how]()]);
      await Promise.allSettled(pipeline.runs);
      await pipeline.engine.settled();
      await pipeline.engine.flush();
    }
  }

  return {
    async recover() {
      for (const { source } of pipelines.values()) {
        await offline.prepareSource({
          source: source.name,
          columns: source.columns,
          hasId: source.id !== null || source.kind === "table_source",
          keys: options.views.filter((view) => view.source.name === source.name).map((view) => view.keyColumns),
        });
      }
      for (const { engine } of pipelines.values()) await engine.recover();
      await dropUndeclared(online, new Set(options.views.map((view) => viewVersion(view))));
    },
    async start() {
      for (const pipeline of pipelines.values()) {
        pipeline.runs = [pipeline.main, pipeline.pushed]
          .filter((loop) => loop !== null)
          .map((loop) => run(pipeline, loop));
        for (const started of pipeline.runs) started.catch(() => {});
      }
      tending = setTimeout(() => void tend(), TEND_MS);
      // A loop that failed at once has told `onFailure`, and takes no pushes.
      await Promise.all(
        [...pipelines.values()].map(({ opened, runs }) => Promise.race([opened, runs.at(-1)?.catch(() => {})])),
      );
    },
    async push(source, events, pushOptions) {
      const { push, engine } = pipelineOf(source);
      const pushed = typeof events === "string" ? push.pushText(events, pushOptions) : push.push(events, pushOptions);
      const result = await pushed;
      if (pushOptions?.readable) await engine.settled();
      return result;
    },
    async advanceTo(t) {
      clock.advanceTo(t);
      await clock.settled(t);
      for (const { engine } of pipelines.values()) await engine.settled();
    },
    release: () => clock.release(),
    async finished() {
      for (const { main, runs, engine } of pipelines.values()) {
        if (main !== null) await runs[0];
        await engine.settled();
      }
    },
    memory(source) {
      const { memory } = pipelineOf(source);
      if (memory === null) throw millraceError("SOURCE_UNKNOWN", `Source '${source}' is not a memory source.`);
      return memory;
    },
    async status() {
      return {
        sources: await Promise.all(
          [...pipelines.values()].map(async ({ main, pushed, engine }) => {
            const status = await (main ?? pushed).status();
            const at = engine.clock();
            return { ...status, clock: Number.isFinite(at) ? at : null };
          }),
        ),
      };
    },
    drain: () => stop("drain"),
    close: () => stop("close"),
  };
}
