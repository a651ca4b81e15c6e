import type { CounterFamily, GaugeFamily } from "../metric-family.ts";

export const featureDriftScore: GaugeFamily<["service", "feature", "statistic"]> = {
  name: "millrace_feature_drift_score",
  type: "gauge",
  help: "How far a feature's last values are from its profile: psi, jensen_shannon (bits), chi_square and, of numbers, ks. Absent until the window has 100 rows.",
  labels: ["service", "feature", "statistic"],
  buckets: [],
};

export const featureDriftDetected: GaugeFamily<["service", "feature"]> = {
  name: "millrace_feature_drift_detected",
  type: "gauge",
  help: "1 while a feature's distribution, nulls or range differ from its profile significantly and by more than the floors; else 0.",
  labels: ["service", "feature"],
  buckets: [],
};

export const featureNullRatio: GaugeFamily<["service", "feature"]> = {
  name: "millrace_feature_null_ratio",
  type: "gauge",
  help: "Share of nulls among a feature's last values, 0 to 1.",
  labels: ["service", "feature"],
  buckets: [],
};

export const featureOutOfRangeRatio: GaugeFamily<["service", "feature"]> = {
  name: "millrace_feature_out_of_range_ratio",
  type: "gauge",
  help: "Share of a feature's last values that lie below the profile's smallest or above its largest, 0 to 1.",
  labels: ["service", "feature"],
  buckets: [],
};

export const featureQualityRows: CounterFamily<["service"]> = {
  name: "millrace_feature_quality_rows_total",
  type: "counter",
  help: "Rows of features that were sampled for drift.",
  labels: ["service"],
  buckets: [],
};

export const skewRows: CounterFamily<["service", "outcome"]> = {
  name: "millrace_training_serving_skew_rows_total",
  type: "counter",
  help: "Logged predictions that were computed again from history by outcome: equal, different, or unknown where the service has changed or the positions are not known.",
  labels: ["service", "outcome"],
  buckets: [],
};

export const predictionDriftScore: GaugeFamily<["model", "output", "statistic"]> = {
  name: "millrace_prediction_drift_score",
  type: "gauge",
  help: "How far a model's last answers are from the first ones of its version: psi, jensen_shannon (bits), chi_square and, of numbers, ks. Absent until both are enough.",
  labels: ["model", "output", "statistic"],
  buckets: [],
};

export const predictionDriftDetected: GaugeFamily<["model", "output"]> = {
  name: "millrace_prediction_drift_detected",
  type: "gauge",
  help: "1 while a model's answers differ from the first ones of its version significantly and by more than the floors; else 0.",
  labels: ["model", "output"],
  buckets: [],
};

export const predictionQualityRows: CounterFamily<["model"]> = {
  name: "millrace_prediction_quality_rows_total",
  type: "counter",
  help: "Answers that were sampled for drift.",
  labels: ["model"],
  buckets: [],
};

export const modelQualityScore: GaugeFamily<["model", "outcome", "version", "window", "metric"]> = {
  name: "millrace_model_quality_score",
  type: "gauge",
  help: "How good a model's predictions were, by their outcomes: auc, log_loss, brier, accuracy, expected_calibration_error, mae, rmse, bias and others; per version and over `all`, over each declared window and the `recent` 500.",
  labels: ["model", "outcome", "version", "window", "metric"],
  buckets: [],
};

export const modelQualityRows: GaugeFamily<["model", "outcome", "version", "window", "state"]> = {
  name: "millrace_model_quality_rows",
  type: "gauge",
  help: "Logged predictions whose fate became known in the window: matched with an outcome, unmatched although its time has passed, or unscored since the two cannot be compared.",
  labels: ["model", "outcome", "version", "window", "state"],
  buckets: [],
};

export const modelQualityWaiting: GaugeFamily<["model", "outcome"]> = {
  name: "millrace_model_quality_waiting_rows",
  type: "gauge",
  help: "Logged predictions whose outcome may still come.",
  labels: ["model", "outcome"],
  buckets: [],
};

export const modelQualityDegraded: GaugeFamily<["model", "outcome", "metric"]> = {
  name: "millrace_model_quality_degraded",
  type: "gauge",
  help: "1 while the last 500 outcomes break a declared bound by more than chance explains; else 0.",
  labels: ["model", "outcome", "metric"],
  buckets: [],
};

export const modelCalibration: GaugeFamily<["model", "outcome", "window", "up_to", "side"]> = {
  name: "millrace_model_calibration_ratio",
  type: "gauge",
  help: "Of the predictions in each tenth of the probabilities: the mean that was predicted, and the share that was observed.",
  labels: ["model", "outcome", "window", "up_to", "side"],
  buckets: [],
};
