import type { ConnectionsConfig } from "../config/connections.ts";
import { type DeadLetterThresholds, deadLetterThresholdOf } from "../config/dead-letter-config.ts";
import { createHistoryRetainer, type Retention, retentionOf } from "../config/retention.ts";
import { isMillraceError, millraceError } from "../definitions/errors.ts";
import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type { FoldEngine } from "../feature_engineering/engine/fold-engine.ts";
import { viewVersion } from "../feature_engineering/plan/plan-hash.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import { createSweeper, dropUndeclared, type Sweeper } from "../feature_store/sweep.ts";
import type { PushedEvents, PushOptions, PushResult } from "../ingestion/sources/http-push.ts";
import type { MemorySource } from "../ingestion/sources/memory-source.ts";
import { type ReplayClock, replayClock } from "../ingestion/sources/replay-clock.ts";
import {
  createSourcePipeline,
  fillViews,
  type SourcePipeline,
  type SourcePipelineOptions,
  type SourceStatus,
  sourceTable,
} from "./source-pipeline.ts";
import { refuseViewsOfBeam } from "./view-writers.ts";

export interface PipelineOptions {
  readonly sources: readonly SourceMeta[];
  readonly views: readonly FeatureViewMeta[];
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** How brokers are reached. Default: none is. */
  readonly connections?: ConnectionsConfig;
  /** Names this process among those that share the stores. Default: no other process writes them. */
  readonly holder?: string | null;
  /** Sources that Apache Beam reads: they and their views are left alone. Default: none. */
  readonly beam?: readonly string[];
  /** How long history is kept. Default: for ever. */
  readonly retention?: Retention;
  /** Above which share of bad messages a source stops. Default: half of the last 1,000. */
  readonly deadLetters?: DeadLetterThresholds;
  /** How files are replayed. Default: flat out. */
  readonly replay?: { readonly speed?: number | "max"; readonly hold?: boolean };
  /** The most messages per batch: only a backlog fills it. Default 16,000. */
  readonly maxBatch?: number;
  readonly cacheCapacity?: number;
  /** Where copies of files from elsewhere are kept. Default: the system's folder for temporary files. */
  readonly filesFolder?: string;
  readonly onFunctionFailure?: (where: string) => void;
  /** Told when a source's loop ended with an error. */
  readonly onFailure?: (source: string, error: unknown) => void;
  /** Wall clock; epoch milliseconds. */
  readonly now?: () => number;
}

export interface PipelineStatus {
  readonly sources: readonly SourceStatus[];
}

/** The write side: ingestion, engine and stores of all sources, in one thread. */
export interface Pipeline {
  /** Prepares the stores and folds what the log holds and the hot store does not: afterwards every view is ready. */
  recover(): Promise<void>;
  /**
   * Fills view versions from the log while another pipeline folds the others; `recover` then has only the rest to do.
   * Their sources' tables must be there, and stay as they are.
   */
  fill(versions: ReadonlySet<string>): Promise<void>;
  /** Drops the key spaces of view versions that are not this pipeline's. */
  dropOthers(): Promise<void>;
  /** Starts the loops of all sources, or with `pushed` those of pushed events only. Resolves when pushes are taken. */
  start(what?: "all" | "pushed"): Promise<void>;
  /** Takes events over HTTP for any source; see `HttpPushSource`. `SOURCE_UNKNOWN` for another name. */
  push(source: string, events: PushedEvents, options?: PushOptions): Promise<PushResult>;
  /** Lets replays deliver the events before `t` and resolves when all of them are readable. Epoch milliseconds. */
  advanceTo(t: number): Promise<void>;
  /** Lets replays deliver everything. */
  release(): void;
  /** Resolves when every source that ends has ended and everything is readable. */
  finished(): Promise<void>;
  /** The feeding end of a memory source. */
  memory(source: string): MemorySource;
  status(): Promise<PipelineStatus>;
  /** Resolves with true when every source that begins at a moment has caught up, or with false when `signal` aborts. */
  caughtUp(signal: AbortSignal): Promise<boolean>;
  /** Stops fetching, hands on what was fetched, makes everything durable. The stores stay open. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** How often the hot store is tended and `applied` made durable, milliseconds. */
const TEND_MS = 1_000;
/** How long after one look for values that have left all windows the next one begins, milliseconds. */
const SWEEP_MS = 60_000;
/** Values per view that are looked at each time: bounds what sweeping costs a large store. */
const VALUES_PER_SWEEP = 10_000;

export function createPipeline(options: PipelineOptions): Pipeline {
  const { offline, online } = options;
  const clock: ReplayClock = replayClock({
    speed: options.replay?.speed ?? "max",
    hold: options.replay?.hold ?? false,
  });
  const embedded = options.sources.filter((source) => options.beam?.includes(source.name) !== true);
  const pipelines = new Map(embedded.map((source) => [source.name, createSourcePipeline(optionsOf(source))]));
  let tending: NodeJS.Timeout | null = null;
  /** Those that have not looked through everything yet, each with its source's engine. */
  const sweeping = new Map<Sweeper, SourcePipeline["engine"]>();
  const retainers = new Map(
    embedded.map(({ name }) => [
      name,
      createHistoryRetainer(offline, name, retentionOf(options.retention ?? null, name), () => performance.now()),
    ]),
  );
  let swept = performance.now();
  let closed = false;
  let isRefused = false;

  function optionsOf(source: SourceMeta): SourcePipelineOptions {
    const { deadLetters, onFunctionFailure, onFailure, cacheCapacity } = options;
    return {
      source,
      ...(options.filesFolder === undefined ? {} : { filesFolder: options.filesFolder }),
      views: options.views.filter((view) => view.source.name === source.name),
      online,
      offline,
      clock,
      connections: options.connections ?? {},
      holder: options.holder ?? null,
      maxBatch: options.maxBatch ?? 16_000,
      now: options.now ?? Date.now,
      ...(deadLetters === undefined ? {} : { deadLetterThreshold: deadLetterThresholdOf(deadLetters, source.name) }),
      ...(cacheCapacity === undefined ? {} : { cacheCapacity }),
      ...(onFunctionFailure === undefined ? {} : { onFunctionFailure }),
      ...(onFailure === undefined ? {} : { onFailure }),
    };
  }

  function pipelineOf(name: string): SourcePipeline {
    const found = pipelines.get(name);
    if (found !== undefined) return found;
    if (options.beam?.includes(name) === true) {
      throw millraceError(
        "SOURCE_OF_BEAM",
        `Source '${name}' is read by Apache Beam (beam.sources in the configuration): send its events to its stream.`,
      );
    }
    throw millraceError(
      "SOURCE_UNKNOWN",
      `There is no source '${name}': declared are ${[...pipelines.keys()].join(", ") || "none"}.`,
    );
  }

  async function tend(): Promise<void> {
    if (sweeping.size === 0 && performance.now() - swept > SWEEP_MS) {
      for (const { engine, views } of pipelines.values()) {
        for (const view of views) sweeping.set(createSweeper(online, view), engine);
      }
    }
    for (const { source, engine, follow } of pipelines.values()) {
      try {
        await engine.tend();
        if (options.holder != null) await follow();
        await retainers.get(source.name)!(engine.clock());
        for (const [sweeper, own] of sweeping) {
          if (own !== engine) continue;
          if ((await sweeper.step(engine.clock(), VALUES_PER_SWEEP)).done) sweeping.delete(sweeper);
        }
      } catch (error) {
        options.onFailure?.(source.name, error);
      }
    }
    if (sweeping.size > 0) swept = performance.now();
    if (!closed) tending = setTimeout(() => void tend(), TEND_MS);
  }

  async function stop(how: "drain" | "close"): Promise<void> {
    closed = true;
    if (tending !== null) clearTimeout(tending);
    // To be made durable, what is committed would be folded, into values that others write.
    if (isRefused) return;
    for (const pipeline of pipelines.values()) await pipeline.stop(how);
  }

  return {
    async recover() {
      isRefused = true;
      for (const source of embedded) await refuseViewsOfBeam(online, optionsOf(source).views);
      isRefused = false;
      for (const source of options.sources) await offline.prepareSource(sourceTable(source, optionsOf(source).views));
      for (const { engine } of pipelines.values()) await recovered(engine);
    },
    async fill(versions) {
      for (const source of embedded) {
        const of = optionsOf(source);
        const views = of.views.filter((view) => versions.has(viewVersion(view)));
        await refuseViewsOfBeam(online, views);
        if (views.length > 0) await fillViews({ ...of, views });
      }
    },
    async dropOthers() {
      await dropUndeclared(online, new Set(options.views.map((view) => viewVersion(view))));
    },
    async start(what = "all") {
      tending = setTimeout(() => void tend(), TEND_MS);
      await Promise.all([...pipelines.values()].map((pipeline) => pipeline.start(what)));
    },
    async push(source, events, pushOptions) {
      const { push, pushMessage, engine } = pipelineOf(source);
      const isMessage = events instanceof Uint8Array;
      const result = await (isMessage ? pushMessage(events, pushOptions) : push(events, pushOptions));
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
      for (const pipeline of pipelines.values()) await pipeline.finished();
    },
    memory(source) {
      const { memory } = pipelineOf(source);
      if (memory === null) throw millraceError("SOURCE_UNKNOWN", `Source '${source}' is not a memory source.`);
      return memory;
    },
    async status() {
      return { sources: await Promise.all([...pipelines.values()].map((pipeline) => pipeline.status())) };
    },
    async caughtUp(signal) {
      const all = await Promise.all([...pipelines.values()].map((pipeline) => pipeline.caughtUp(signal)));
      return all.every(Boolean);
    },
    drain: () => stop("drain"),
    close: () => stop("close"),
  };
}

/** Processes that start at one moment on an empty hot store open it one over the other: then once more. */
async function recovered(engine: FoldEngine): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await engine.recover();
    } catch (error) {
      if (attempt === 10 || !isMillraceError(error) || error.code !== "ONLINE_STORE_ROLLED_BACK") throw error;
    }
  }
}
