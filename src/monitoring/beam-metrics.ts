import { BEAM_PROGRESS_CHANNEL, type BeamProgressEvent } from "../feature_engineering/beam/channels.ts";
import * as families from "./families/beam.ts";
import type { MetricSet } from "./metric-set.ts";
import { subscribe } from "./subscribe.ts";

/** Shows what jobs of Apache Beam tell their launcher, in the launcher's process. Returns what ends that. */
export function beamMetrics(set: MetricSet, now: () => number): () => void {
  const running = set.gauge(families.beamRunning);
  const counters = (
    [
      ["events", families.beamEvents],
      ["dead_letters", families.beamDeadLetters],
      ["duplicates", families.beamDuplicates],
      ["null_keys", families.beamNullKeys],
      ["function_failures", families.beamFunctionFailures],
      ["tiles", families.beamTiles],
      ["writes", families.beamWrites],
      ["conflicts", families.beamConflicts],
    ] as const
  ).map(([name, family]) => [name, set.counter(family)] as const);
  const times = [
    ["newestEventTime", set.gauge(families.beamNewestEvent)],
    ["watermark", set.gauge(families.beamWatermark)],
    ["checkpointAt", set.gauge(families.beamCheckpoint)],
  ] as const;
  const lag = set.gauge(families.beamWatermarkLag);
  const backlog = set.gauge(families.beamBacklog);
  return subscribe<BeamProgressEvent>(BEAM_PROGRESS_CHANNEL, (event) => {
    const { source } = event;
    running.child(source).value = event.running ? 1 : 0;
    for (const [name, cells] of counters) {
      const cell = cells.child(source);
      // A runner that tells its figures only now and then may tell fewer than before.
      cell.value = Math.max(cell.value, event.counters[name] ?? 0);
    }
    for (const [name, cells] of times) {
      const time = event[name];
      if (time !== null) cells.child(source).value = time / 1_000;
    }
    if (event.watermark !== null) lag.child(source).value = Math.max(0, now() - event.watermark) / 1_000;
    if (event.backlog !== null) backlog.child(source).value = event.backlog;
  });
}
