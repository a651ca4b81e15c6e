import { type Scale, window } from "./scale.ts";

export interface RecordingRule {
  /** `level:metric:operations`, as Prometheus' naming rules have it. */
  readonly record: string;
  readonly expr: string;
}

/** Requests that the objectives are about: not those of probes and of Prometheus itself. */
const COUNTED = `route!~"/metrics|/livez|/readyz|/health|/ping|/v2/health/.*"`;

/** Latencies above it, seconds, are slow; it is a bound of the histogram's buckets. */
export const SLOW_SECONDS = 0.1;

/** Windows over which the objectives' errors are looked at. */
export const SLO_WINDOWS = ["5m", "30m", "1h", "6h", "3d"] as const;

/** What dashboards and alerts share. */
export function recordingRules(scale: Scale): readonly RecordingRule[] {
  const w = (text: string): string => window(text, scale);
  return [
    ...SLO_WINDOWS.map((text) => ({
      record: `job:millrace_http_errors:ratio_rate${text}`,
      expr:
        `sum by (job) (rate(millrace_http_requests_total{${COUNTED},status=~"5.."}[${w(text)}]) or 0 * rate(millrace_http_requests_total{${COUNTED}}[${w(text)}]))` +
        ` / sum by (job) (rate(millrace_http_requests_total{${COUNTED}}[${w(text)}]))`,
    })),
    ...SLO_WINDOWS.map((text) => ({
      record: `job:millrace_predictions_slow:ratio_rate${text}`,
      expr:
        `1 - sum by (job) (rate(millrace_prediction_duration_seconds_bucket{le="${SLOW_SECONDS}"}[${w(text)}]))` +
        ` / sum by (job) (rate(millrace_prediction_duration_seconds_count[${w(text)}]))`,
    })),
    {
      record: "model:millrace_prediction_requests:rate5m",
      expr: `sum by (job, model) (rate(millrace_prediction_requests_total[${w("5m")}]))`,
    },
    ...[50, 95, 99].map((percent) => ({
      record: `model:millrace_prediction_duration_seconds:p${percent}_5m`,
      expr: `histogram_quantile(${percent / 100}, sum by (job, model, le) (rate(millrace_prediction_duration_seconds_bucket[${w("5m")}])))`,
    })),
    {
      record: "service:millrace_online_cache_hits:ratio_rate5m",
      expr:
        `sum by (job, service) (rate(millrace_online_cache_hits_total[${w("5m")}])) / (sum by (job, service) (rate(millrace_online_cache_hits_total[${w("5m")}]))` +
        ` + sum by (job, service) (rate(millrace_online_cache_misses_total[${w("5m")}])) > 0)`,
    },
    {
      record: "service:millrace_online_store_unavailable:ratio_rate5m",
      expr:
        `sum by (job, service) (rate(millrace_online_store_unavailable_total[${w("5m")}])) / (sum by (job, service) (rate(millrace_online_store_unavailable_total[${w("5m")}]))` +
        ` + sum by (job, service) (rate(millrace_online_store_hits_total[${w("5m")}])) + sum by (job, service) (rate(millrace_online_store_misses_total[${w("5m")}])) > 0)`,
    },
    {
      record: "source:millrace_ingestion_events:rate5m",
      expr: `sum by (job, source) (rate(millrace_ingestion_events_total[${w("5m")}]))`,
    },
    {
      record: "source:millrace_ingestion_dead_letters:ratio_rate5m",
      expr:
        `sum by (job, source) (rate(millrace_ingestion_dead_letters_total[${w("5m")}]))` +
        ` / (sum by (job, source) (rate(millrace_ingestion_batch_messages_sum[${w("5m")}])) > 0)`,
    },
    {
      record: "source:millrace_ingestion_lag_seconds:max",
      expr: "max by (job, source) (millrace_ingestion_lag_seconds)",
    },
    {
      record: "source:millrace_ingestion_checkpoint_age_seconds:min",
      expr: "time() - max by (job, source) (millrace_ingestion_last_checkpoint_timestamp_seconds)",
    },
    {
      record: "view:millrace_view_freshness_seconds:min",
      expr: "time() - max by (job, view) (millrace_view_newest_event_timestamp_seconds)",
    },
    {
      record: "thread:millrace_thread_event_loop_lag_seconds:p99_5m",
      expr: `histogram_quantile(0.99, sum by (job, thread, le) (rate(millrace_thread_event_loop_lag_seconds_bucket[${w("5m")}])))`,
    },
  ];
}
