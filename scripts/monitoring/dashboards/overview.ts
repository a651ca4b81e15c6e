import { type DashboardSpec, quantiles, rate, series, stat } from "../panel.ts";

export const overview: DashboardSpec = {
  name: "overview",
  title: "Millrace / Overview",
  rows: [
    {
      title: "Now",
      panels: [
        stat("Up", "short", "Processes that Prometheus can scrape.", 'sum(up{job="millrace"})'),
        stat(
          "Pipelines",
          "short",
          "Threads that ingest and fold; one per process that has one.",
          "sum(millrace_pipeline_up)",
        ),
        stat("Requests", "reqps", "Predict requests a second.", rate("millrace_prediction_requests_total")),
        stat(
          "P99",
          "s",
          "Of predictions; the objective is 100 ms for 99% of them.",
          "max(model:millrace_prediction_duration_seconds:p99_5m)",
        ),
        stat(
          "Failed requests",
          "percentunit",
          "Answers with status 5xx, in the last 5 minutes; the objective is under 0.1%.",
          "max(job:millrace_http_errors:ratio_rate5m)",
        ),
        stat("Lag", "s", "Of the source that is farthest behind.", "max(millrace_ingestion_lag_seconds)"),
      ],
    },
    {
      title: "Serving",
      panels: [
        series("Predictions", "reqps", "Rows a second, by model.", [
          [rate("millrace_predictions_total", "model"), "{{model}}"],
        ]),
        series(
          "Latency",
          "s",
          "Of predictions, over all models.",
          quantiles("millrace_prediction_duration_seconds", null),
          { hasExemplars: true },
        ),
        series("Outcomes", "reqps", "Predict requests by their outcome; what is not ok is an error's code.", [
          [rate("millrace_prediction_requests_total", "outcome"), "{{outcome}}"],
        ]),
        series(
          "Error budget",
          "percentunit",
          "Shares of requests that failed and of predictions that were slow, over an hour.",
          [
            ["max(job:millrace_http_errors:ratio_rate1h)", "failed"],
            ["max(job:millrace_predictions_slow:ratio_rate1h)", "slow"],
          ],
        ),
      ],
    },
    {
      title: "Data",
      panels: [
        series("Events", "cps", "Valid events a second, by source.", [
          [rate("millrace_ingestion_events_total", "source"), "{{source}}"],
        ]),
        series("Freshness", "s", "How old the newest event of each view is.", [
          ["view:millrace_view_freshness_seconds:min", "{{view}}"],
        ]),
      ],
    },
  ],
};
