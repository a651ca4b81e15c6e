import { channel } from "node:diagnostics_channel";
import { setImmediate as nextTurn } from "node:timers/promises";
import { isMillraceError } from "../definitions/errors.ts";
import {
  INGESTION_BATCH_CHANNEL,
  INGESTION_WORK_CHANNEL,
  INGESTION_WORK_END_CHANNEL,
  type IngestionBatchEvent,
  type IngestionWorkEndEvent,
  type IngestionWorkEvent,
  type PartitionStatus,
} from "./channels.ts";
import { DEAD_LETTER_THRESHOLD, type DeadLetterThreshold, deadLetterShare } from "./dead-letter-share.ts";
import { type BatchDecoding, decodeBatch } from "./decode-batch.ts";
import { ingestionError } from "./ingestion-error.ts";
import type { MessageSource, RawBatch, ResumePosition } from "./message-source.ts";
import { partitionLag } from "./partition-lag.ts";
import { type RetryPolicy, retry, timerSleep } from "./retry.ts";
import type { MessageBatch } from "./stream-message.ts";
import { tooManyDeadLetters } from "./too-many-dead-letters.ts";

export interface StreamIngestionOptions extends Omit<BatchDecoding, "now"> {
  readonly reader: MessageSource;
  /** The last committed offset of a partition in the cold store; −1 if none. */
  readonly resume: ResumePosition;
  /**
   * Takes a batch; resolves when its cold commit is done. Called for one batch at a time, in order, again with the same
   * batch after an operational error: whoever commits drops what lies at or below the committed offset.
   */
  readonly handler: (batch: MessageBatch) => Promise<void>;
  /** Told of a batch as soon as it is decoded, while the one before is still handled: work that needs no waiting. */
  readonly prepareBatch?: (batch: MessageBatch) => void;
  /** Called before a batch is decoded: brings what its decoding needs, such as schemas. Tried again as a fetch is. */
  readonly prepare?: (messages: RawBatch["messages"]) => Promise<void>;
  /** Messages per batch. Default 2,000. */
  readonly maxBatch?: number;
  /** Batches fetched and not yet handled: 1 turns pipelining off. Default 2. */
  readonly maxInFlight?: number;
  /** Default: more than half of the last 1,000 messages. */
  readonly deadLetterThreshold?: DeadLetterThreshold;
  /** How often lag is sampled for the channel, ms; 0: never. Default 5,000. */
  readonly lagIntervalMs?: number;
  /** Default: 100 ms doubling up to 30 s, fully jittered. */
  readonly retry?: Partial<RetryPolicy>;
  /** Wall clock, epoch ms. */
  readonly now?: () => number;
}

export type IngestionState = "idle" | "running" | "retrying" | "draining" | "stopped" | "failed";

export interface IngestionStatus {
  readonly source: string;
  readonly state: IngestionState;
  /** Handled in this run, dead letters not included. */
  readonly messages: number;
  /** Dead letters handed on in this run. */
  readonly deadLetters: number;
  readonly batches: number;
  readonly retries: number;
  /** Epoch ms of the newest event handled; null before the first. */
  readonly lastEventTime: number | null;
  readonly lastError: string | null;
  readonly partitions: readonly PartitionStatus[];
}

/** One source's loop: fetch, decode and validate, hand on, checkpoint. */
export interface StreamIngestion {
  /**
   * Runs until the source ends, `drain`, or the signal's abort (then what is fetched and not handed on yet is left for
   * the next run). Once only. Rejects with the handler's or source's error, or `DEAD_LETTER_THRESHOLD`.
   */
  run(signal?: AbortSignal): Promise<void>;
  /** Fetches no more, hands on what was fetched, checkpoints, stops; resolves when `run` has ended. */
  drain(): Promise<void>;
  status(): Promise<IngestionStatus>;
  /** Stops as an aborted signal does; resolves when `run` has ended. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a batch took before it was handed on, milliseconds. */
interface SpentTimes {
  readonly fetchMs: number;
  readonly decodeMs: number;
  /** On the monotonic clock. */
  readonly decodedAt: number;
}

/** Longest stretch of work (ms) after which timers and signals get a turn. */
const TURN_MS = 20;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function traceparentsOf(batch: MessageBatch, limit: number): readonly string[] {
  const found = new Set<string>();
  for (const { headers } of batch.messages) {
    if (headers.traceparent !== undefined) found.add(headers.traceparent);
    if (found.size === limit) break;
  }
  return [...found];
}

/** The handler's errors are retried only if they say that they are the operator's or a dependency's. */
function handlerMayRecover(error: unknown): boolean {
  return isMillraceError(error) && error.kind === "operational" && error.code !== "PARTITION_FENCED";
}

/** A client library's errors carry no kind: a broken connection is the likely one. */
function readerMayRecover(error: unknown): boolean {
  return !isMillraceError(error) || error.kind === "operational";
}

/** Makes the loop of one source; `run` starts it. */
export function streamIngestion(options: StreamIngestionOptions): StreamIngestion {
  const { source, reader } = options;
  const now = options.now ?? Date.now;
  const maxBatch = options.maxBatch ?? 2000;
  const maxInFlight = Math.max(1, options.maxInFlight ?? 2);
  const lagIntervalMs = options.lagIntervalMs ?? 5000;
  const threshold = options.deadLetterThreshold ?? DEAD_LETTER_THRESHOLD;
  const policy: RetryPolicy = { sleep: timerSleep, random: Math.random, baseMs: 100, maxMs: 30_000, ...options.retry };
  const decoding: BatchDecoding = { ...options, now };
  const share = deadLetterShare(threshold);
  const batchChannel = channel(INGESTION_BATCH_CHANNEL);
  const workChannel = channel(INGESTION_WORK_CHANNEL);
  const workEndChannel = channel(INGESTION_WORK_END_CHANNEL);
  const lag = partitionLag(source, reader, now);

  /** Ends fetching; what was fetched is still handed on. */
  const stop = new AbortController();
  /** Ends everything: nothing more is handed on, retries are given up. */
  const abort = new AbortController();
  let state: IngestionState = "idle";
  let running: Promise<void> | null = null;
  let failure: { readonly error: unknown } | null = null;
  let messages = 0;
  let deadLetters = 0;
  let batches = 0;
  let retries = 0;
  let lastEventTime: number | null = null;
  let lastError: string | null = null;
  let lastTurn = 0;
  /** By partition, the ownership under which it is read now. */
  const epochs = new Map<string, number>();
  /** A batch could not be handed on: neither may those behind it. */
  let broken = false;
  let finalLag: readonly PartitionStatus[] = [];

  const fail = (error: unknown): void => {
    failure ??= { error };
    lastError = messageOf(failure.error);
    stop.abort();
  };

  const halt = (): void => {
    abort.abort();
    stop.abort();
  };

  const retried = async <T>(
    operation: () => Promise<T>,
    mayRecover: (error: unknown) => boolean,
    signal: AbortSignal,
  ): Promise<T> => {
    const result = await retry(operation, policy, signal, (error) => {
      if (!mayRecover(error)) return false;
      lastError = messageOf(error);
      retries++;
      if (state === "running") state = "retrying";
      return true;
    });
    if (state === "retrying") state = "running";
    return result;
  };

  const publish = (batch: MessageBatch, newest: number | null, decodeMs: number, handleMs: number): void => {
    const codes: Record<string, number> = {};
    for (const letter of batch.deadLetters) codes[letter.code] = (codes[letter.code] ?? 0) + 1;
    batchChannel.publish({
      source,
      partition: batch.partition,
      messages: batch.messages.length,
      deadLetters: batch.deadLetters.length,
      deadLetterCodes: codes,
      lastOffset: batch.lastOffset,
      lastEventTime: newest,
      decodeSeconds: decodeMs / 1000,
      handleSeconds: handleMs / 1000,
    } satisfies IngestionBatchEvent);
  };

  const deliver = async (batch: MessageBatch, spent: SpentTimes): Promise<void> => {
    if (broken || abort.signal.aborted) return;
    if (!workChannel.hasSubscribers) return void (await handOn(batch, spent.decodeMs));
    const work: IngestionWorkEvent = {
      source,
      partition: batch.partition,
      messages: batch.messages.length,
      deadLetters: batch.deadLetters.length,
      fetchSeconds: spent.fetchMs / 1000,
      decodeSeconds: spent.decodeMs / 1000,
      queueSeconds: (performance.now() - spent.decodedAt) / 1000,
      traceparents: (limit) => traceparentsOf(batch, limit),
    };
    await workChannel.runStores(work, async () => {
      const isHandled = await handOn(batch, spent.decodeMs);
      workEndChannel.publish({ source, isHandled } satisfies IngestionWorkEndEvent);
    });
  };

  /** False if it was given up. */
  const handOn = async (batch: MessageBatch, decodeMs: number): Promise<boolean> => {
    try {
      const started = performance.now();
      await retried(() => options.handler(batch), handlerMayRecover, abort.signal);
      const handleMs = performance.now() - started;
      await retried(() => reader.checkpoint(batch.partition, batch.lastOffset), readerMayRecover, abort.signal);
      let newest: number | null = null;
      for (const message of batch.messages) {
        if (newest === null || message.eventTime > newest) newest = message.eventTime;
      }
      lag.note(batch.partition, batch.lastOffset, newest);
      if (newest !== null) lastEventTime = Math.max(lastEventTime ?? newest, newest);
      messages += batch.messages.length;
      deadLetters += batch.deadLetters.length;
      batches++;
      if (batchChannel.hasSubscribers) publish(batch, newest, decodeMs, handleMs);
      return true;
    } catch (error) {
      if (reader.lost !== undefined && isMillraceError(error) && error.code === "PARTITION_FENCED") {
        // Its new owner has these messages too; this process goes on with its other partitions. What an ownership left
        // behind that this process has renewed since says nothing about the present one.
        if (batch.epoch === undefined || batch.epoch === epochs.get(batch.partition)) reader.lost(batch.partition);
        return false;
      }
      broken = true;
      fail(error);
      return false;
    }
  };

  const fetch = async (): Promise<RawBatch | null> => {
    try {
      return await retried(() => reader.fetch(maxBatch, stop.signal), readerMayRecover, stop.signal);
    } catch (error) {
      if (stop.signal.aborted) return null;
      throw error;
    }
  };

  /** False if it was stopped meanwhile: the batch comes again in the next run. */
  const prepared = async (raw: RawBatch): Promise<boolean> => {
    try {
      await retried(() => options.prepare!(raw.messages), readerMayRecover, stop.signal);
      return true;
    } catch (error) {
      if (stop.signal.aborted) return false;
      throw error;
    }
  };

  const resume: ResumePosition = async (partition, how) => {
    const point = await options.resume(partition, how);
    if (how !== "look" && point.epoch !== undefined) epochs.set(partition, point.epoch);
    return point;
  };

  const decode = async (raw: RawBatch): Promise<MessageBatch> => {
    let exceeded = 0;
    const batch = await decodeBatch(raw, decoding, (bad) => {
      if (share.note(bad)) exceeded = Math.max(exceeded, share.bad);
    });
    if (exceeded === 0) return batch;
    // The batch is not handed on: after a repair its messages are read again, as good ones.
    const reasons = new Set(batch.deadLetters.map(({ reason }) => reason));
    throw tooManyDeadLetters(source, threshold, exceeded, [...reasons]);
  };

  const loop = async (): Promise<void> => {
    const inFlight = new Set<Promise<void>>();
    let tail: Promise<void> = Promise.resolve();
    try {
      await retried(() => reader.open(resume), readerMayRecover, stop.signal);
      while (!stop.signal.aborted) {
        const asked = performance.now();
        const raw = await fetch();
        const fetchMs = performance.now() - asked;
        if (raw === null) break;
        const epoch = epochs.get(raw.partition);
        if (performance.now() - lastTurn > TURN_MS) {
          // Sources and handlers that never wait for I/O would keep timers and signals from running.
          await nextTurn();
          lastTurn = performance.now();
        }
        if (raw.messages.length === 0 && raw.lastOffset === undefined) continue;
        if (options.prepare !== undefined && !(await prepared(raw))) break;
        const started = performance.now();
        const decoded = await decode(raw);
        const batch = epoch === undefined ? decoded : { ...decoded, epoch };
        options.prepareBatch?.(batch);
        const decodedAt = performance.now();
        const spent = { fetchMs, decodeMs: decodedAt - started, decodedAt };
        tail = tail.then(() => deliver(batch, spent));
        const delivery = tail;
        inFlight.add(delivery);
        void delivery.then(() => inFlight.delete(delivery));
        while (inFlight.size >= maxInFlight) await Promise.race(inFlight);
      }
    } catch (error) {
      if (!stop.signal.aborted || failure !== null) fail(error);
      else lastError = messageOf(error);
    }
    // Deliveries never reject: they call `fail`.
    await tail;
  };

  const sampleLag = (): Promise<void> =>
    // Lag is a side matter: a transport that is down shows in the loop's own retries.
    lag.sample().catch((error: unknown) => {
      lastError = messageOf(error);
    });

  const lifetime = async (signal: AbortSignal | undefined): Promise<void> => {
    state = "running";
    lastTurn = performance.now();
    if (signal?.aborted === true) halt();
    signal?.addEventListener("abort", halt, { once: true });
    const timer = lagIntervalMs > 0 ? setInterval(() => void sampleLag(), lagIntervalMs) : null;
    timer?.unref();
    try {
      await loop();
    } finally {
      if (timer !== null) clearInterval(timer);
      signal?.removeEventListener("abort", halt);
      await sampleLag();
      finalLag = await lag.read().catch(() => []);
      await reader.close().catch(fail);
      state = failure === null ? "stopped" : "failed";
    }
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
  };

  const ended = async (): Promise<void> => {
    // Who runs it gets the error; who only waits for the end does not.
    await running?.catch(() => undefined);
  };

  const close = async (): Promise<void> => {
    halt();
    await ended();
  };

  return {
    run: (signal) => {
      if (running !== null) {
        const message = `The ingestion of "${source}" has run already: make a new one to start again.`;
        return Promise.reject(ingestionError("INGESTION_RUNNING", message, { kind: "bug" }));
      }
      running = lifetime(signal);
      return running;
    },
    drain: async () => {
      if (state === "running" || state === "retrying") state = "draining";
      stop.abort();
      await ended();
    },
    status: async () => {
      const live = state === "running" || state === "retrying" || state === "draining";
      const partitions = live ? await lag.read() : finalLag;
      return { source, state, messages, deadLetters, batches, retries, lastEventTime, lastError, partitions };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
