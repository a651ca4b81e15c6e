import { type DashboardSpec, rate, series, table } from "../panel.ts";

export const models: DashboardSpec = {
  name: "models",
  title: "Millrace / Models",
  rows: [
    {
      title: "Versions",
      panels: [
        table(
          "Serving",
          "short",
          "The version of each model that answers, and by how many processes.",
          "count by (model, version) (millrace_model_serving_info == 1)",
          "{{model}} {{version}}",
        ),
        series("Last load", "dateTimeFromNow", "When a version was last loaded without an error.", [
          ["max by (model) (millrace_model_last_load_timestamp_seconds) * 1000", "{{model}}"],
        ]),
        series("Update fails", "short", "1 while a version that should serve cannot be loaded.", [
          ["max by (model) (millrace_model_update_failing)", "{{model}}"],
        ]),
        series("Failed updates", "short", "New versions that could not be loaded in the last hour, by the reason.", [
          ["sum by (model, reason) (increase(millrace_model_update_failures_total[1h]))", "{{model}} {{reason}}"],
        ]),
      ],
    },
    {
      title: "Loading",
      panels: [
        series("Loads", "short", "In the last hour, by outcome.", [
          ["sum by (model, outcome) (increase(millrace_model_loads_total[1h]))", "{{model}} {{outcome}}"],
        ]),
        series("Time to load", "s", "Mean since the processes started, warm-up included.", [
          [
            "sum by (model) (millrace_model_load_duration_seconds_sum) / sum by (model) (millrace_model_load_duration_seconds_count)",
            "{{model}}",
          ],
        ]),
        series("Size", "bytes", "Of the version that answers.", [
          ["max by (model) (millrace_model_size_bytes)", "{{model}}"],
        ]),
        series("Webhooks", "cps", "Of model registries, by what became of them.", [
          [rate("millrace_model_webhooks_total", "outcome"), "{{outcome}}"],
        ]),
      ],
    },
    {
      title: "Scoring servers",
      panels: [
        series("Requests", "reqps", "To servers that predict for a model, by outcome.", [
          [rate("millrace_scoring_requests_total", "server", "outcome"), "{{server}} {{outcome}}"],
        ]),
        series("P99", "s", "Retries included.", [
          [
            "histogram_quantile(0.99, sum by (server, le) (rate(millrace_scoring_duration_seconds_bucket[$__rate_interval])))",
            "{{server}}",
          ],
        ]),
        series("Retries", "cps", "Requests that were sent again.", [
          [rate("millrace_scoring_retries_total", "server"), "{{server}}"],
        ]),
        series("Circuit breaker", "short", "1 while a server is left alone because it failed too often.", [
          ["max by (server) (millrace_scoring_breaker_open)", "{{server}}"],
        ]),
      ],
    },
  ],
};
