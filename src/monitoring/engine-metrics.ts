import {
  ENGINE_BATCH_CHANNEL,
  ENGINE_RECOVERY_CHANNEL,
  type EngineBatchEvent,
  type EngineRecoveryEvent,
} from "../feature_engineering/engine/channels.ts";
import * as families from "./families/engine.ts";
import { observe } from "./histogram-cell.ts";
import type { MetricSet } from "./metric-set.ts";
import { subscribe } from "./subscribe.ts";

/** Measures the embedded engine's batches and recoveries. Returns what ends that. */
export function engineMetrics(set: MetricSet): () => void {
  const events = set.counter(families.engineEvents);
  const duplicates = set.counter(families.engineDuplicates);
  const conflicts = set.counter(families.engineConflicts);
  const nullKeys = set.counter(families.engineNullKeys);
  const writes = set.counter(families.engineWrites);
  const seconds = set.histogram(families.engineBatchDuration);
  const clock = set.gauge(families.engineClock);
  const folded = set.gauge(families.recoveryFolded);
  const pending = set.gauge(families.recoveryPending);
  const newest = set.gauge(families.viewNewestEvent);
  const nullKeysSeen = new Map<string, number>();

  function applied(source: string, views: readonly string[], eventTime: number | null): void {
    if (eventTime === null) return;
    for (const view of views) {
      const cell = newest.child(view, source);
      cell.value = Math.max(cell.value, eventTime / 1_000);
    }
  }

  const ends = [
    subscribe<EngineBatchEvent>(ENGINE_BATCH_CHANNEL, (event) => {
      const { source } = event;
      events.child(source).value += event.events;
      duplicates.child(source).value += event.duplicates;
      conflicts.child(source).value += event.conflicts;
      // The engine counts null keys since it was made; it may be made anew in this process.
      const before = nullKeysSeen.get(source) ?? 0;
      nullKeys.child(source).value += event.nullKeys >= before ? event.nullKeys - before : event.nullKeys;
      nullKeysSeen.set(source, event.nullKeys);
      writes.child(source).value += event.writes;
      observe(seconds.child(source, "commit"), event.commitSeconds);
      observe(seconds.child(source, "fold"), event.foldSeconds);
      observe(seconds.child(source, "write"), event.writeSeconds);
      applied(source, event.views, event.newestEventTime);
      // Before the first event there is no clock.
      if (Number.isFinite(event.clock)) clock.child(source).value = event.clock / 1_000;
    }),
    subscribe<EngineRecoveryEvent>(
      ENGINE_RECOVERY_CHANNEL,
      ({ source, views, newestEventTime, events: done, total, done: finished }) => {
        applied(source, views, newestEventTime);
        folded.child(source).value = done;
        pending.child(source).value = finished ? 0 : Math.max(0, total - done);
      },
    ),
  ];
  return () => {
    for (const end of ends) end();
  };
}
