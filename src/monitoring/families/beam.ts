import type { CounterFamily, GaugeFamily } from "../metric-family.ts";

const counter = (name: string, help: string): CounterFamily<["source"]> => ({
  ...{ name: `millrace_beam_${name}_total`, type: "counter", help, labels: ["source"], buckets: [] },
});
const gauge = (name: string, help: string): GaugeFamily<["source"]> => ({
  ...{ name: `millrace_beam_${name}`, type: "gauge", help, labels: ["source"], buckets: [] },
});

export const beamRunning: GaugeFamily<["source"]> = gauge("running", "1 while the job of the source runs, else 0.");
export const beamEvents: CounterFamily<["source"]> = counter(
  "events",
  "Events that a Beam job folded since it was started; after a restart some come again.",
);
export const beamDeadLetters: CounterFamily<["source"]> = counter(
  "dead_letters",
  "Messages that a Beam job could not take, conflicts of ids included.",
);
export const beamDuplicates: CounterFamily<["source"]> = counter(
  "duplicates",
  "Events of a known id that a Beam job did not fold.",
);
export const beamNullKeys: CounterFamily<["source"]> = counter(
  "null_keys",
  "Events that a view skipped because a key column was null, over all views.",
);
export const beamFunctionFailures: CounterFamily<["source"]> = counter(
  "function_failures",
  "How often a derive or where function failed on an event.",
);
export const beamTiles: CounterFamily<["source"]> = counter("tiles", "Tiles that reached the sink, repeated ones too.");
export const beamWrites: CounterFamily<["source"]> = counter("hot_store_writes", "Values written to the hot store.");
export const beamConflicts: CounterFamily<["source"]> = counter(
  "write_conflicts",
  "Values that were merged again because another worker had changed them.",
);
export const beamNewestEvent: GaugeFamily<["source"]> = gauge(
  "newest_event_timestamp_seconds",
  "The largest event time that was written.",
);
export const beamWatermark: GaugeFamily<["source"]> = gauge(
  "watermark_timestamp_seconds",
  "Up to where a job on Flink takes the arrivals to be complete, less the source's lateness: that of the operator furthest behind. None of a source with a clock of its own.",
);
export const beamWatermarkLag: GaugeFamily<["source"]> = gauge(
  "watermark_lag_seconds",
  "How far the watermark is behind the wall clock: at rest the source's lateness and some seconds.",
);
export const beamBacklog: GaugeFamily<["source"]> = gauge(
  "backlog_messages",
  "Messages of Kafka that the workers of this machine have not read yet.",
);
export const beamCheckpoint: GaugeFamily<["source"]> = gauge(
  "last_checkpoint_timestamp_seconds",
  "When the newest checkpoint or savepoint was taken.",
);
