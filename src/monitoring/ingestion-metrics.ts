import {
  INGESTION_BATCH_CHANNEL,
  INGESTION_LAG_CHANNEL,
  type IngestionBatchEvent,
  type IngestionLagEvent,
} from "../ingestion/channels.ts";
import * as families from "./families/ingestion.ts";
import { observe } from "./histogram-cell.ts";
import type { LabelledChildren } from "./labelled-children.ts";
import type { MetricSet } from "./metric-set.ts";
import type { NumberCell } from "./number-cell.ts";
import { subscribe } from "./subscribe.ts";

/** Measures batches and lag of all sources. `now`: epoch milliseconds. Returns what ends that. */
export function ingestionMetrics(set: MetricSet, now: () => number): () => void {
  const events = set.counter(families.ingestionEvents);
  const deadLetters = set.counter(families.deadLetters);
  const batchMessages = set.histogram(families.ingestionBatchMessages);
  const seconds = set.histogram(families.ingestionBatchDuration);
  const lagMessages = set.gauge(families.lagMessages);
  const lagSeconds = set.gauge(families.lagSeconds);
  const lastCheckpoint = set.gauge(families.lastCheckpoint);
  const lastEventTime = set.gauge(families.lastEventTime);

  function show(
    gauge: LabelledChildren<["source", "partition"], NumberCell>,
    source: string,
    partition: string,
    value: number | null,
  ): void {
    if (value === null) gauge.remove(source, partition);
    else gauge.child(source, partition).value = value;
  }

  const ends = [
    subscribe<IngestionBatchEvent>(INGESTION_BATCH_CHANNEL, (event) => {
      const { source } = event;
      events.child(source).value += event.messages;
      for (const [code, count] of Object.entries(event.deadLetterCodes)) deadLetters.child(source, code).value += count;
      observe(batchMessages.child(source), event.messages + event.deadLetters);
      observe(seconds.child(source, "decode"), event.decodeSeconds);
      observe(seconds.child(source, "handle"), event.handleSeconds);
      lastCheckpoint.child(source, event.partition).value = now() / 1_000;
      if (event.lastEventTime !== null) {
        const newest = lastEventTime.child(source, event.partition);
        newest.value = Math.max(newest.value, event.lastEventTime / 1_000);
      }
    }),
    subscribe<IngestionLagEvent>(INGESTION_LAG_CHANNEL, ({ source, partitions }) => {
      // Several loops of one source tell of their own partitions only: what is not listed is not gone.
      for (const status of partitions) {
        show(lagMessages, source, status.partition, status.lagMessages);
        show(lagSeconds, source, status.partition, status.lagSeconds);
      }
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}
