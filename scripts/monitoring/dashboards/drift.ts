import { type DashboardSpec, rate, series, stat } from "../panel.ts";

export const drift: DashboardSpec = {
  name: "drift",
  title: "Millrace / Drift and skew",
  rows: [
    {
      title: "Against the training set",
      panels: [
        stat(
          "Drifted features",
          "short",
          "Features that have left their profile.",
          "sum(millrace_feature_drift_detected)",
          "",
          24,
        ),
        series(
          "Drift by feature",
          "short",
          "The population stability index and its fellows: 0 is the training set itself.",
          [
            [
              "max by (service, feature, statistic) (millrace_feature_drift_score)",
              "{{service}} {{feature}} {{statistic}}",
            ],
          ],
          { width: 24 },
        ),
      ],
    },
    {
      title: "What comes in",
      panels: [
        series("Nulls", "percentunit", "Share of nulls among a feature's last values.", [
          ["max by (service, feature) (millrace_feature_null_ratio)", "{{service}} {{feature}}"],
        ]),
        series("Out of range", "percentunit", "Share of values outside of what the training set had.", [
          ["max by (service, feature) (millrace_feature_out_of_range_ratio)", "{{service}} {{feature}}"],
        ]),
        series("Sampled", "cps", "Rows that are looked at; quiet services need longer to show drift.", [
          [rate("millrace_feature_quality_rows_total", "service"), "features of {{service}}"],
          [rate("millrace_prediction_quality_rows_total", "model"), "answers of {{model}}"],
        ]),
      ],
    },
    {
      title: "What is answered",
      panels: [
        series("Drifted answers", "short", "1 while answers differ from the first ones of the version.", [
          ["max by (model, output) (millrace_prediction_drift_detected)", "{{model}} {{output}}"],
        ]),
        series("Drift of answers", "short", "0 is what the version answered at first.", [
          ["max by (model, output, statistic) (millrace_prediction_drift_score)", "{{model}} {{output}} {{statistic}}"],
        ]),
      ],
    },
    {
      title: "Against history",
      panels: [
        series(
          "Recomputed rows",
          "cps",
          "Logged predictions that were computed again from history, by outcome.",
          [[rate("millrace_training_serving_skew_rows_total", "service", "outcome"), "{{service}} {{outcome}}"]],
          { width: 24 },
        ),
      ],
    },
  ],
};
