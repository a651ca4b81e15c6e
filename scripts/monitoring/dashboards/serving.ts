import { type DashboardSpec, quantiles, rate, series } from "../panel.ts";

export const serving: DashboardSpec = {
  name: "serving",
  title: "Millrace / Serving",
  rows: [
    {
      title: "Predictions",
      panels: [
        series("Rows", "cps", "Predicted rows a second.", [[rate("millrace_predictions_total", "model"), "{{model}}"]]),
        series(
          "Latency by model",
          "s",
          "From a request's arrival in its handler to its answer.",
          quantiles("millrace_prediction_duration_seconds", "model"),
          { hasExemplars: true },
        ),
        series("Where the time goes", "s", "Mean time of each stage: reading features, and the model.", [
          [
            `${rate("millrace_prediction_stage_duration_seconds_sum", "model", "stage")} / ${rate("millrace_prediction_stage_duration_seconds_count", "model", "stage")}`,
            "{{model}} {{stage}}",
          ],
        ]),
        series("P99 by stage", "s", "The stage that makes the slow requests slow.", [
          [
            "histogram_quantile(0.99, sum by (stage, le) (rate(millrace_prediction_stage_duration_seconds_bucket[$__rate_interval])))",
            "{{stage}}",
          ],
        ]),
        series(
          "In flight",
          "short",
          "Requests that have begun and are not answered; if it grows, the process is too slow.",
          [["sum by (instance) (millrace_prediction_requests_in_flight)", "{{instance}}"]],
        ),
        series("Errors by code", "reqps", "Predict requests that were answered with an error.", [
          [
            'sum by (model, outcome) (rate(millrace_prediction_requests_total{outcome!="ok"}[$__rate_interval]))',
            "{{model}} {{outcome}}",
          ],
        ]),
      ],
    },
    {
      title: "HTTP",
      panels: [
        series("Requests by route", "reqps", "All routes.", [
          [rate("millrace_http_requests_total", "route"), "{{route}}"],
        ]),
        series("Requests by status", "reqps", "5xx is ours to mend, 4xx the caller's, 503 may be too much load.", [
          [rate("millrace_http_requests_total", "status"), "{{status}}"],
        ]),
        series(
          "P99 by route",
          "s",
          "Until the answer was sent.",
          [
            [
              "histogram_quantile(0.99, sum by (route, le) (rate(millrace_http_request_duration_seconds_bucket[$__rate_interval])))",
              "{{route}}",
            ],
          ],
          { hasExemplars: true },
        ),
        series("Refused", "reqps", "Requests that would have waited too long, refused with 503 before they began.", [
          [rate("millrace_shed_requests_total", "class"), "{{class}}"],
        ]),
      ],
    },
    {
      title: "Batches",
      panels: [
        series("Batches", "cps", "Batches of predictions by their outcome.", [
          [rate("millrace_batches_total", "format", "outcome"), "{{format}} {{outcome}}"],
        ]),
        series("Rows of batches", "cps", "Rows that were answered, and rows with an error in place.", [
          [rate("millrace_batch_rows_total", "outcome"), "{{outcome}}"],
        ]),
      ],
    },
    {
      title: "Objectives",
      panels: [
        series(
          "Failed requests",
          "percentunit",
          "Share of answers with 5xx; the alerts look at these windows.",
          ["5m", "1h", "6h", "3d"].map((w) => [`max(job:millrace_http_errors:ratio_rate${w})`, w]),
        ),
        series(
          "Slow predictions",
          "percentunit",
          "Share of predictions above 100 ms.",
          ["5m", "1h", "6h", "3d"].map((w) => [`max(job:millrace_predictions_slow:ratio_rate${w})`, w]),
        ),
      ],
    },
  ],
};
