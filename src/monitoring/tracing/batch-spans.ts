import { channel } from "node:diagnostics_channel";
import { ENGINE_BATCH_CHANNEL, type EngineBatchEvent } from "../../feature_engineering/engine/channels.ts";
import {
  INGESTION_WORK_CHANNEL,
  INGESTION_WORK_END_CHANNEL,
  type IngestionWorkEndEvent,
  type IngestionWorkEvent,
} from "../../ingestion/channels.ts";
import { subscribe } from "../subscribe.ts";
import { activeSpan } from "./active-span.ts";
import type { SpanMaker } from "./span-maker.ts";
import { readTraceparent } from "./traceparent.ts";

/** `SpanKind.CONSUMER`; the library itself is not loaded here. */
const CONSUMER = 4;
/** Producers' contexts that one batch is linked to: OpenTelemetry's own limit on a span's links. */
const MOST_LINKS = 128;

/** Spans from event to hot store, one trace per batch, linked to its producers' contexts. Returns what ends that. */
export function batchSpans(spans: SpanMaker): () => void {
  const works = channel(INGESTION_WORK_CHANNEL);
  works.bindStore(activeSpan, (message) => {
    const work = message as IngestionWorkEvent;
    const links = work.traceparents(MOST_LINKS).flatMap((header) => {
      const context = readTraceparent(header);
      return context === null ? [] : [{ context }];
    });
    const before = work.decodeSeconds + work.queueSeconds;
    const span = spans.start(`process ${work.source}`, {
      kind: CONSUMER,
      parent: null,
      links,
      secondsAgo: before + work.fetchSeconds,
      attributes: {
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": work.source,
        "messaging.destination.partition.id": work.partition,
        "messaging.batch.message_count": work.messages,
        "millrace.dead_letters": work.deadLetters,
      },
    });
    if (span.isRecording()) {
      spans.past("fetch", work.fetchSeconds, before, { parent: span });
      spans.past("decode", work.decodeSeconds, work.queueSeconds, { parent: span });
    }
    return span;
  });
  const ends = [
    subscribe(INGESTION_WORK_CHANNEL, () => {}),
    subscribe<EngineBatchEvent>(
      ENGINE_BATCH_CHANNEL,
      ({ events, writes, commitSeconds, foldSeconds, writeSeconds }) => {
        spans.past("commit to cold store", commitSeconds, foldSeconds + writeSeconds);
        spans.past("fold", foldSeconds, writeSeconds, { attributes: { "millrace.events": events } });
        spans.past("write to hot store", writeSeconds, 0, { attributes: { "millrace.writes": writes } });
      },
    ),
    subscribe<IngestionWorkEndEvent>(INGESTION_WORK_END_CHANNEL, ({ isHandled }) => {
      const span = activeSpan.getStore();
      if (span != null) spans.end(span, isHandled ? null : "BATCH_GIVEN_UP");
    }),
  ];
  return () => {
    works.unbindStore(activeSpan);
    for (const end of ends) end();
  };
}
