import type { CounterFamily, GaugeFamily, HistogramFamily } from "../metric-family.ts";
import { COARSE_BUCKETS } from "./buckets.ts";

export const eventLoopLag: HistogramFamily<["thread"]> = {
  name: "millrace_thread_event_loop_lag_seconds",
  type: "histogram",
  help: "How long a task that is ready at a random moment waits for the thread's event loop, sampled every 20 ms.",
  labels: ["thread"],
  buckets: COARSE_BUCKETS,
};

export const eventLoopActive: CounterFamily<["thread"]> = {
  name: "millrace_thread_event_loop_active_seconds_total",
  type: "counter",
  help: "Time in which the thread's event loop did work; its rate is the share of a core, at most 1.",
  labels: ["thread"],
  buckets: [],
};

export const heapUsed: GaugeFamily<["thread"]> = {
  name: "millrace_thread_heap_used_bytes",
  type: "gauge",
  help: "Memory of the thread's JavaScript objects, garbage that was not collected yet included.",
  labels: ["thread"],
  buckets: [],
};

export const heapLimit: GaugeFamily<["thread"]> = {
  name: "millrace_thread_heap_limit_bytes",
  type: "gauge",
  help: "The most that the thread's heap may grow to.",
  labels: ["thread"],
  buckets: [],
};

export const externalMemory: GaugeFamily<["thread"]> = {
  name: "millrace_thread_external_memory_bytes",
  type: "gauge",
  help: "Memory outside the heap that the thread's objects hold, such as buffers.",
  labels: ["thread"],
  buckets: [],
};

export const pipelineUp: GaugeFamily<[]> = {
  name: "millrace_pipeline_up",
  type: "gauge",
  help: "1 while the thread that ingests and folds answers; 0 once it has ended: its metrics are missing then.",
  labels: [],
  buckets: [],
};

export const processCpu: CounterFamily<[]> = {
  name: "process_cpu_seconds_total",
  type: "counter",
  help: "User and system CPU time of the process, all threads.",
  labels: [],
  buckets: [],
};

export const processResidentMemory: GaugeFamily<[]> = {
  name: "process_resident_memory_bytes",
  type: "gauge",
  help: "Resident memory of the process, all threads.",
  labels: [],
  buckets: [],
};

export const processStartTime: GaugeFamily<[]> = {
  name: "process_start_time_seconds",
  type: "gauge",
  help: "When the process started, in seconds since 1970.",
  labels: [],
  buckets: [],
};

export const processOpenFiles: GaugeFamily<[]> = {
  name: "process_open_fds",
  type: "gauge",
  help: "Open file descriptors of the process; 0 where the system has no /proc.",
  labels: [],
  buckets: [],
};

export const nodeVersion: GaugeFamily<["version"]> = {
  name: "nodejs_version_info",
  type: "gauge",
  help: "1 for the version of Node.js.",
  labels: ["version"],
  buckets: [],
};
