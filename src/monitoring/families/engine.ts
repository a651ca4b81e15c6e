import type { CounterFamily, GaugeFamily, HistogramFamily } from "../metric-family.ts";
import { BATCH_BUCKETS } from "./buckets.ts";

export const engineEvents: CounterFamily<["source"]> = {
  name: "millrace_engine_events_total",
  type: "counter",
  help: "Events that were new in the cold store and folded into the views.",
  labels: ["source"],
  buckets: [],
};

export const engineDuplicates: CounterFamily<["source"]> = {
  name: "millrace_engine_duplicates_total",
  type: "counter",
  help: "Events that were not folded because they were known: redeliveries, and events of a known id.",
  labels: ["source"],
  buckets: [],
};

export const engineConflicts: CounterFamily<["source"]> = {
  name: "millrace_engine_id_conflicts_total",
  type: "counter",
  help: "Events of a known id and event time with another payload; they are dead letters.",
  labels: ["source"],
  buckets: [],
};

export const engineNullKeys: CounterFamily<["source"]> = {
  name: "millrace_engine_null_keys_total",
  type: "counter",
  help: "Events that a view skipped because a key column was null, over all views.",
  labels: ["source"],
  buckets: [],
};

export const engineWrites: CounterFamily<["source"]> = {
  name: "millrace_engine_hot_store_writes_total",
  type: "counter",
  help: "Values that were written to the hot store, one per view and entity of a batch.",
  labels: ["source"],
  buckets: [],
};

export const engineBatchDuration: HistogramFamily<["source", "stage"]> = {
  name: "millrace_engine_batch_duration_seconds",
  type: "histogram",
  help: "Time of one stage of a batch: commit (cold store), fold, or write (hot store).",
  labels: ["source", "stage"],
  buckets: BATCH_BUCKETS,
};

export const engineClock: GaugeFamily<["source"]> = {
  name: "millrace_engine_clock_timestamp_seconds",
  type: "gauge",
  help: "The source's clock after its last batch, in seconds since 1970.",
  labels: ["source"],
  buckets: [],
};

export const recoveryFolded: GaugeFamily<["source"]> = {
  name: "millrace_engine_recovery_folded_events",
  type: "gauge",
  help: "Events that the last recovery has folded from the cold store so far.",
  labels: ["source"],
  buckets: [],
};

export const recoveryPending: GaugeFamily<["source"]> = {
  name: "millrace_engine_recovery_pending_events",
  type: "gauge",
  help: "Events that the running recovery has still to fold; 0 when it is done.",
  labels: ["source"],
  buckets: [],
};

export const viewNewestEvent: GaugeFamily<["view", "source"]> = {
  name: "millrace_view_newest_event_timestamp_seconds",
  type: "gauge",
  help: "Event time of the newest event that the view has applied, in seconds since 1970: time() less this is its freshness.",
  labels: ["view", "source"],
  buckets: [],
};
