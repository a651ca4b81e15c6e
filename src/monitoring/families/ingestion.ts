import type { CounterFamily, GaugeFamily, HistogramFamily } from "../metric-family.ts";
import { BATCH_BUCKETS, COUNT_BUCKETS } from "./buckets.ts";

export const ingestionEvents: CounterFamily<["source"]> = {
  name: "millrace_ingestion_events_total",
  type: "counter",
  help: "Valid events that were handed on and committed, redeliveries included.",
  labels: ["source"],
  buckets: [],
};

export const deadLetters: CounterFamily<["source", "code"]> = {
  name: "millrace_ingestion_dead_letters_total",
  type: "counter",
  help: "Messages that were set aside because they cannot be used, by the reason's code.",
  labels: ["source", "code"],
  buckets: [],
};

export const ingestionBatchMessages: HistogramFamily<["source"]> = {
  name: "millrace_ingestion_batch_messages",
  type: "histogram",
  help: "Messages per batch, dead letters included; its count is the number of batches.",
  labels: ["source"],
  buckets: COUNT_BUCKETS,
};

export const ingestionBatchDuration: HistogramFamily<["source", "stage"]> = {
  name: "millrace_ingestion_batch_duration_seconds",
  type: "histogram",
  help: "Time of one stage of a batch: decode (and validate), or handle (until its commit, retries included).",
  labels: ["source", "stage"],
  buckets: BATCH_BUCKETS,
};

export const lagMessages: GaugeFamily<["source", "partition"]> = {
  name: "millrace_ingestion_lag_messages",
  type: "gauge",
  help: "Messages of the partition that are not handled yet, by the transport's last answer; absent if it cannot tell.",
  labels: ["source", "partition"],
  buckets: [],
};

export const lagSeconds: GaugeFamily<["source", "partition"]> = {
  name: "millrace_ingestion_lag_seconds",
  type: "gauge",
  help: "How far the partition is behind in event time, 0 if nothing is waiting; absent if unknown.",
  labels: ["source", "partition"],
  buckets: [],
};

export const lastEventTime: GaugeFamily<["source", "partition"]> = {
  name: "millrace_ingestion_last_event_timestamp_seconds",
  type: "gauge",
  help: "Event time of the newest event that was handled in this run, in seconds since 1970.",
  labels: ["source", "partition"],
  buckets: [],
};

export const lastCheckpoint: GaugeFamily<["source", "partition"]> = {
  name: "millrace_ingestion_last_checkpoint_timestamp_seconds",
  type: "gauge",
  help: "When a batch of the partition was last handled and its position kept, in seconds since 1970.",
  labels: ["source", "partition"],
  buckets: [],
};
