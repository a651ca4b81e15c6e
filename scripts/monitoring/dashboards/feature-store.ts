import { type DashboardSpec, quantiles, rate, series } from "../panel.ts";

const hits = rate("millrace_online_store_hits_total", "service");
const misses = rate("millrace_online_store_misses_total", "service");

export const featureStore: DashboardSpec = {
  name: "feature-store",
  title: "Millrace / Feature store",
  rows: [
    {
      title: "Reads",
      panels: [
        series("Rows", "cps", "Rows of features a second.", [
          [rate("millrace_online_read_rows_total", "service"), "{{service}}"],
        ]),
        series(
          "Latency of reads",
          "s",
          "One read of a feature service, windows and transforms included.",
          quantiles("millrace_online_read_duration_seconds", "service"),
        ),
        series(
          "Hit ratio",
          "percentunit",
          "Values found and unexpired; a fall means unknown entities, or a pipeline that is behind.",
          [[`${hits} / (${hits} + ${misses})`, "{{service}}"]],
        ),
        series(
          "Unavailable",
          "cps",
          "Values that the hot store did not give in time; more than none is a fault of the store.",
          [[rate("millrace_online_store_unavailable_total", "service"), "{{service}}"]],
        ),
      ],
    },
    {
      title: "Values",
      panels: [
        series("Statuses", "cps", "Features by status.", [
          [rate("millrace_feature_statuses_total", "status"), "{{status}}"],
        ]),
        series("Present by view", "percentunit", "Share of features that are there.", [
          [
            `sum by (view) (rate(millrace_feature_statuses_total{status="PRESENT"}[$__rate_interval])) / ${rate("millrace_feature_statuses_total", "view")}`,
            "{{view}}",
          ],
        ]),
        series("Freshness", "s", "How old the newest event of each view is.", [
          ["view:millrace_view_freshness_seconds:min", "{{view}}"],
        ]),
        series("Read at the edge", "cps", "Rows read at a moment that an event had overtaken already.", [
          [rate("millrace_online_read_head_overlaps_total", "service"), "{{service}}"],
        ]),
      ],
    },
    {
      title: "Cache in the process",
      panels: [
        series("Cache hit ratio", "percentunit", "Of views that have a cache; low ratios cost memory for little.", [
          ["service:millrace_online_cache_hits:ratio_rate5m", "{{service}}"],
        ]),
        series("Age of cached values", "s", "The oldest value of a read, 99% of reads.", [
          [
            "histogram_quantile(0.99, sum by (service, le) (rate(millrace_online_cache_age_seconds_bucket[$__rate_interval])))",
            "{{service}}",
          ],
        ]),
      ],
    },
  ],
};
