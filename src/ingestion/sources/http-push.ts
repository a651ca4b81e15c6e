import type { MillraceError } from "../../definitions/errors.ts";
import { jsonFailure, parseJson } from "../decoders/json-decoder.ts";
import type { JsonMessageDecoder } from "../decoders/message-decoder.ts";
import { isDecodeFailure } from "../decoders/row-decoder.ts";
import { futureFailure } from "../future-failure.ts";
import { type IdempotencyLog, memoryIdempotencyLog } from "../idempotency-log.ts";
import { ingestionError } from "../ingestion-error.ts";
import type { MessageSource, RawBatch } from "../message-source.ts";
import type { AcceptedPush, DecodedPayload, RawMessage, RejectedEvent } from "../stream-message.ts";

export interface HttpPushOptions {
  readonly decoder: JsonMessageDecoder;
  /** As the ingestion loop's; null: not checked. */
  readonly futureBoundMs: number | null;
  /** The internal partition, leased by one process. Default `http:0`. */
  readonly partition?: string;
  /** Default: in memory, for a day. */
  readonly idempotencyLog?: IdempotencyLog;
  /** Events waiting or being handled beyond which pushes are refused. Default 20,000. */
  readonly maxQueued?: number;
  /** Events of the largest push. Default 10,000. */
  readonly maxPush?: number;
  /** Wall clock, epoch ms. */
  readonly now?: () => number;
}

export interface PushOptions {
  /** A second push under the same key, within the log's window, is answered and not applied. */
  readonly idempotencyKey?: string;
  /** Resolve only when the events can be read from the hot store, not already when they are durable. */
  readonly readable?: boolean;
}

/** Events as objects, as JSON text, or one message in the source's own format. */
export type PushedEvents = readonly unknown[] | string | Uint8Array;

export interface PushResult {
  /** Events that are durably accepted. */
  readonly accepted: number;
  /** Events that are not, and will not be if sent again as they are. */
  readonly rejected: readonly RejectedEvent[];
  /** True if the idempotency key was known: then the rest is the first push's answer. */
  readonly duplicate: boolean;
}

/**
 * The receiving side of `POST /v1/sources/{name}/events`: a {@link MessageSource} with a queue. A push is one whole: its
 * accepted events are never split over batches.
 */
export interface HttpPushSource extends MessageSource {
  /**
   * Takes events: objects, or each as JSON text. Resolves when the accepted ones are durable (their batch's handler
   * resolved). Rejects with `BACK_PRESSURE` (nothing was taken, send again later), `PUSH_TOO_LARGE`, or `SOURCE_CLOSED`
   * (the outcome may be unknown: send again under the same key).
   */
  push(events: readonly unknown[], options?: PushOptions): Promise<PushResult>;
  /**
   * Takes a JSON array or lines of JSON (told by the first character), with all digits of integers. Rejects, besides,
   * with `DECODE_FAILED` if the array is no JSON; a bad line is rejected by itself.
   */
  pushText(text: string, options?: PushOptions): Promise<PushResult>;
  /** Takes one message that came in the source's own format, with what it was decoded to. */
  pushDecoded(bytes: Uint8Array, decoded: DecodedPayload, options?: PushOptions): Promise<PushResult>;
}

type Decode = (event: unknown) => DecodedPayload;

interface QueuedPush {
  readonly idempotencyKey: string | null;
  readonly values: readonly { readonly value: RawMessage["value"]; readonly row: RawMessage["decoded"] }[];
  readonly rejected: readonly RejectedEvent[];
  /** Epoch ms. */
  readonly queuedAt: number;
  lastOffset: number;
  record: AcceptedPush | null;
  readonly resolve: (answer: AcceptedPush | null) => void;
  readonly reject: (error: Error) => void;
}

function closedError(): MillraceError {
  return ingestionError(
    "SOURCE_CLOSED",
    "The source takes no events now: it is starting, stopping, or has failed. Send the events again later, under the " +
      "same idempotency key, since some may have been applied.",
    { kind: "operational", details: { retry_after_seconds: 5 } },
  );
}

/** What the first push under a key was answered. */
function answerOf({ accepted, rejected }: AcceptedPush): PushResult {
  return { accepted, rejected, duplicate: true };
}

function eventsOf(text: string): readonly unknown[] {
  if (!/^\s*\[/.test(text)) return text.split("\n").filter((line) => line.trim() !== "");
  try {
    return parseJson(text, true) as readonly unknown[];
  } catch (error) {
    throw ingestionError("DECODE_FAILED", `${jsonFailure(text, error).reason} Nothing was taken.`, { cause: error });
  }
}

/** Makes the source that HTTP routes push into. */
export function httpPush(options: HttpPushOptions): HttpPushSource {
  const { decoder, futureBoundMs } = options;
  const partition = options.partition ?? "http:0";
  const log = options.idempotencyLog ?? memoryIdempotencyLog();
  const maxQueued = options.maxQueued ?? 20_000;
  const maxPush = Math.min(options.maxPush ?? 10_000, maxQueued);
  const now = options.now ?? Date.now;
  /** Pushes under a key that are under way: a second one waits for the first. */
  const underWay = new Map<string, Promise<PushResult>>();
  let queue: QueuedPush[] = [];
  /** Fetched, not committed; in offset order. */
  let handed: QueuedPush[] = [];
  let nextOffset = 0;
  let isOpen = false;
  /** Events of all pushes that are not settled. */
  let held = 0;
  let wake: (() => void) | null = null;

  const changed = (): void => {
    const waiting = wake;
    wake = null;
    waiting?.();
  };

  const enqueue = (events: readonly unknown[], idempotencyKey: string | null, decode: Decode): Promise<PushResult> => {
    const values: { value: RawMessage["value"]; row: RawMessage["decoded"] }[] = [];
    const rejected: RejectedEvent[] = [];
    for (const [index, event] of events.entries()) {
      const decoded = decode(event);
      const failure = isDecodeFailure(decoded)
        ? decoded
        : futureFailure(decoded[decoder.rows.eventTimeIndex] as number, now(), futureBoundMs);
      if (failure !== null) rejected.push({ index, code: failure.code, reason: failure.reason });
      else values.push({ value: event as RawMessage["value"], row: decoded });
    }
    const result: PushResult = { accepted: values.length, rejected, duplicate: false };
    if (values.length === 0) return Promise.resolve(result);
    return new Promise((resolve, reject) => {
      const settle = { resolve: (first: AcceptedPush | null) => resolve(first ? answerOf(first) : result), reject };
      queue.push({ idempotencyKey, values, rejected, queuedAt: now(), lastOffset: -1, record: null, ...settle });
      changed();
    });
  };

  const accept = async (
    events: readonly unknown[],
    idempotencyKey: string | null,
    decode: Decode,
  ): Promise<PushResult> => {
    if (!isOpen) throw closedError();
    if (events.length > maxPush) {
      throw ingestionError(
        "PUSH_TOO_LARGE",
        `The push has ${events.length} events; at most ${maxPush} may come at once. Split it.`,
        { details: { events: events.length, max_events: maxPush } },
      );
    }
    if (held + events.length > maxQueued) {
      throw ingestionError(
        "BACK_PRESSURE",
        `${held} events are waiting to be stored, and at most ${maxQueued} may. None of this push was taken: send it ` +
          `again in a moment, and slower.`,
        { kind: "operational", details: { retry_after_seconds: 1, queued: held } },
      );
    }
    held += events.length;
    try {
      if (idempotencyKey !== null) {
        const [known] = await log.seen([idempotencyKey]);
        if (known) return answerOf(known);
        if (!isOpen) throw closedError();
      }
      return await enqueue(events, idempotencyKey, decode);
    } finally {
      held -= events.length;
    }
  };

  const push = (
    events: readonly unknown[],
    pushOptions: PushOptions = {},
    decode: Decode = decoder.decodeValue,
  ): Promise<PushResult> => {
    const key = pushOptions.idempotencyKey;
    if (key === undefined) return accept(events, null, decode);
    const first = underWay.get(key);
    if (first !== undefined) return first.then((result) => ({ ...result, duplicate: true }));
    const done = accept(events, key, decode).finally(() => underWay.delete(key));
    underWay.set(key, done);
    return done;
  };

  const take = (maxMessages: number): RawBatch => {
    const messages: RawMessage[] = [];
    const pushes: AcceptedPush[] = [];
    const at = now();
    let count = 0;
    for (const queued of queue) {
      // At least one, and never a part of one.
      if (count > 0 && messages.length + queued.values.length > maxMessages) break;
      count++;
      const firstOffset = nextOffset;
      for (const { value, row } of queued.values) {
        const base = { partition, offset: nextOffset++, key: null, value, ingestedAt: at, headers: {} };
        messages.push(row === undefined ? base : { ...base, decoded: row });
      }
      const { idempotencyKey, rejected } = queued;
      queued.lastOffset = nextOffset - 1;
      if (idempotencyKey !== null) {
        const accepted = queued.values.length;
        const { lastOffset } = queued;
        queued.record = { idempotencyKey, partition, firstOffset, lastOffset, accepted, rejected, at };
        pushes.push(queued.record);
      }
      handed.push(queued);
    }
    queue = queue.slice(count);
    return pushes.length === 0 ? { partition, messages } : { partition, messages, pushes };
  };

  return {
    capabilities: { monotonePositions: false, endless: true },
    push: (events, pushOptions) => push(events, pushOptions),
    pushDecoded: (bytes, decoded, pushOptions) => push([bytes], pushOptions, () => decoded),
    pushText: async (text, pushOptions) => push(eventsOf(text), pushOptions),
    open: async (resume) => {
      nextOffset = (await resume(partition)).offset + 1;
      isOpen = true;
    },
    fetch: async (maxMessages, signal) => {
      for (;;) {
        signal.throwIfAborted();
        if (queue.length > 0) return take(maxMessages);
        await new Promise<void>((resolve) => {
          wake = resolve;
          signal.addEventListener("abort", changed, { once: true });
        });
        signal.removeEventListener("abort", changed);
      }
    },
    checkpoint: async (_partition, offset) => {
      const done = handed.filter((pushed) => pushed.lastOffset <= offset);
      const records = done.flatMap((pushed) => (pushed.record === null ? [] : [pushed.record]));
      const first = new Map<string, AcceptedPush>();
      if (records.length > 0) {
        await log.record(records);
        // Another process may have committed a push under the same key meanwhile: then that one counts, and not this.
        const known = await log.seen(records.map((record) => record.idempotencyKey));
        for (const [i, record] of records.entries()) {
          const one = known[i];
          if (one && (one.partition !== partition || one.firstOffset !== record.firstOffset)) {
            first.set(record.idempotencyKey, one);
          }
        }
      }
      handed = handed.filter((pushed) => pushed.lastOffset > offset);
      for (const pushed of done) pushed.resolve(first.get(pushed.idempotencyKey ?? "") ?? null);
    },
    lag: async () => {
      const oldest = handed[0] ?? queue[0];
      const seconds = oldest === undefined ? 0 : Math.max(0, (now() - oldest.queuedAt) / 1000);
      const messages = [...handed, ...queue].reduce((sum, pushed) => sum + pushed.values.length, 0);
      return [{ partition, messages, seconds }];
    },
    close: async () => {
      isOpen = false;
      const unsettled = [...handed, ...queue];
      handed = [];
      queue = [];
      for (const pushed of unsettled) pushed.reject(closedError());
    },
  };
}
