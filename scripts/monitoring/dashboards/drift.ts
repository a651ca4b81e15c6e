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
