/** Metrics that rules and dashboards know and no family shows yet. */
export const PENDING_METRICS: ReadonlySet<string> = new Set([
  "millrace_feature_drift_score",
  "millrace_feature_drift_detected",
  "millrace_training_serving_skew_rows_total",
  "millrace_feature_null_ratio",
  "millrace_feature_out_of_range_ratio",
  "millrace_feature_quality_rows_total",
  "millrace_prediction_drift_score",
  "millrace_prediction_drift_detected",
  "millrace_prediction_quality_rows_total",
]);
