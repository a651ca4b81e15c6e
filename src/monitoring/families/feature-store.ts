import type { CounterFamily, HistogramFamily } from "../metric-family.ts";
import { STAGE_BUCKETS } from "./buckets.ts";

export const onlineReadDuration: HistogramFamily<["service"]> = {
  name: "millrace_online_read_duration_seconds",
  type: "histogram",
  help: "Time of one read of a feature service from the hot store, windows and transforms included, for all its rows.",
  labels: ["service"],
  buckets: STAGE_BUCKETS,
};

export const onlineReadRows: CounterFamily<["service"]> = {
  name: "millrace_online_read_rows_total",
  type: "counter",
  help: "Rows of features that were read from the hot store.",
  labels: ["service"],
  buckets: [],
};

export const onlineStoreHits: CounterFamily<["service"]> = {
  name: "millrace_online_store_hits_total",
  type: "counter",
  help: "Values found and unexpired in the hot store; a row reads one value per view and role.",
  labels: ["service"],
  buckets: [],
};

export const onlineStoreMisses: CounterFamily<["service"]> = {
  name: "millrace_online_store_misses_total",
  type: "counter",
  help: "Values not found in the hot store, or expired.",
  labels: ["service"],
  buckets: [],
};

export const featureStatuses: CounterFamily<["view", "status"]> = {
  name: "millrace_feature_statuses_total",
  type: "counter",
  help: "Features read from the hot store by status: PRESENT, NULL_VALUE, NOT_FOUND or OUTSIDE_MAX_AGE.",
  labels: ["view", "status"],
  buckets: [],
};

export const headOverlaps: CounterFamily<["service"]> = {
  name: "millrace_online_read_head_overlaps_total",
  type: "counter",
  help: "Rows read at a moment at or before which an event lies that was applied already, so that it may be counted.",
  labels: ["service"],
  buckets: [],
};
