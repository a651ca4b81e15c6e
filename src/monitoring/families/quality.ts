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
