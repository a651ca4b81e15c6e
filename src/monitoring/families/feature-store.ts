import type { CounterFamily, HistogramFamily } from "../metric-family.ts";
import { COARSE_BUCKETS, STAGE_BUCKETS } from "./buckets.ts";

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

export const onlineStoreUnavailable: CounterFamily<["service"]> = {
  name: "millrace_online_store_unavailable_total",
  type: "counter",
  help: "Values that the hot store did not give within the deadline; the rows were answered without them.",
  labels: ["service"],
  buckets: [],
};

export const onlineCacheHits: CounterFamily<["service"]> = {
  name: "millrace_online_cache_hits_total",
  type: "counter",
  help: "Values answered from this process's memory, of views that have such a cache; not counted as hits of the hot store.",
  labels: ["service"],
  buckets: [],
};

export const onlineCacheMisses: CounterFamily<["service"]> = {
  name: "millrace_online_cache_misses_total",
  type: "counter",
  help: "Values of views that have a cache in this process that were not in it, or too old, and came from the hot store.",
  labels: ["service"],
  buckets: [],
};

export const onlineCacheAge: HistogramFamily<["service"]> = {
  name: "millrace_online_cache_age_seconds",
  type: "histogram",
  help: "How long ago the oldest cached value of a read was read from the hot store, of reads that used the cache.",
  labels: ["service"],
  buckets: COARSE_BUCKETS,
};

export const featureStatuses: CounterFamily<["view", "status"]> = {
  name: "millrace_feature_statuses_total",
  type: "counter",
  help: "Features read from the hot store by status: PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE or UNAVAILABLE.",
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
