import { type DashboardSpec, rate, series, table } from "../panel.ts";

export const runtime: DashboardSpec = {
  name: "runtime",
  title: "Millrace / Runtime",
  rows: [
    {
      title: "Process",
      panels: [
        series("CPU", "short", "Cores in use, all threads.", [
          ["sum by (instance) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{instance}}"],
        ]),
        series("Resident memory", "bytes", "All threads.", [
          ["sum by (instance) (process_resident_memory_bytes)", "{{instance}}"],
        ]),
        series("Open files", "short", "Connections included.", [
          ["sum by (instance) (process_open_fds)", "{{instance}}"],
        ]),
        table(
          "Started",
          "dateTimeFromNow",
          "A process that starts again and again has a fault.",
          "max by (instance) (process_start_time_seconds) * 1000",
          "{{instance}}",
        ),
        table(
          "Certificate ends",
          "dateTimeFromNow",
          "Of servers with TLS.",
          "min by (instance) (millrace_tls_certificate_expiry_timestamp_seconds) * 1000",
          "{{instance}}",
        ),
        series("Certificate updates", "short", "Looked at by outcome, and 1 while a new one is refused.", [
          ["sum by (instance, outcome) (millrace_tls_certificate_updates_total)", "{{instance}} {{outcome}}"],
          ["max by (instance) (millrace_tls_certificate_update_failing)", "{{instance}} fails"],
        ]),
        table("Node.js", "short", "Its version.", "count by (version) (nodejs_version_info)", "{{version}}"),
        series("Pipeline", "short", "1 while the thread that ingests and folds answers.", [
          ["min by (instance) (millrace_pipeline_up)", "{{instance}}"],
        ]),
      ],
    },
    {
      title: "Threads",
      panels: [
        series("Event loop in use", "percentunit", "At 1 the thread can do no more.", [
          [rate("millrace_thread_event_loop_active_seconds_total", "instance", "thread"), "{{instance}} {{thread}}"],
        ]),
        series("Event loop lag", "s", "How long a task waits for its turn, 99%.", [
          ["thread:millrace_thread_event_loop_lag_seconds:p99_5m", "{{thread}}"],
        ]),
        series("Heap", "bytes", "In use, and the most that it may be.", [
          ["max by (instance, thread) (millrace_thread_heap_used_bytes)", "{{instance}} {{thread}}"],
          ["max by (instance, thread) (millrace_thread_heap_limit_bytes)", "{{instance}} {{thread}} limit"],
        ]),
        series("Outside the heap", "bytes", "Buffers and the like.", [
          ["max by (instance, thread) (millrace_thread_external_memory_bytes)", "{{instance}} {{thread}}"],
        ]),
      ],
    },
  ],
};
