import { type DashboardSpec, rate, series, stat } from "../panel.ts";

export const drift: DashboardSpec = {
  name: "drift",
  title: "Millrace / Drift, skew and model quality",
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
      title: "What became of predictions",
      panels: [
        stat(
          "Degraded models",
          "short",
          "Bounds that the last 500 outcomes break; see the runbook of MillraceModelDegraded.",
          "sum(max by (model, outcome, metric) (millrace_model_quality_degraded))",
          "",
          8,
        ),
        stat(
          "Waiting",
          "short",
          "Predictions whose outcome may still come.",
          "sum(max by (model, outcome) (millrace_model_quality_waiting_rows))",
          "",
          8,
        ),
        stat(
          "Without an outcome",
          "percentunit",
          "Of the predictions whose time has passed; a rising share means that outcomes do not arrive.",
          `sum(max by (model, outcome, window) (millrace_model_quality_rows{version="all",window!="recent",state="unmatched"})) / sum(max by (model, outcome, window, state) (millrace_model_quality_rows{version="all",window!="recent"}))`,
          "",
          8,
        ),
        series(
          "Quality of the last 500",
          "short",
          "AUC and accuracy: 1 is best. Losses and errors: 0 is best.",
          [
            [
              `max by (model, outcome, metric) (millrace_model_quality_score{version="all",window="recent"})`,
              "{{model}} {{outcome}} {{metric}}",
            ],
          ],
          { width: 24 },
        ),
        series(
          "Quality by version",
          "short",
          "Over the declared windows: a new version should not be worse than the last.",
          [
            [
              `max by (model, version, window, metric) (millrace_model_quality_score{version!="all",window!="recent"})`,
              "{{model}} version {{version}} {{window}} {{metric}}",
            ],
          ],
        ),
        series(
          "Calibration",
          "percentunit",
          "Of each tenth of the probabilities: what came true. Best: the diagonal.",
          [
            [
              `max by (model, outcome, window, up_to) (millrace_model_calibration_ratio{side="observed",window!="recent"})`,
              "{{model}} {{window}} up to {{up_to}}",
            ],
            [
              `max by (model, outcome, window, up_to) (millrace_model_calibration_ratio{side="predicted",window!="recent"})`,
              "{{model}} {{window}} up to {{up_to}}, predicted",
            ],
          ],
        ),
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
