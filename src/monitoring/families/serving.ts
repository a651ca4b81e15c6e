import type { CounterFamily, GaugeFamily, HistogramFamily } from "../metric-family.ts";
import { COARSE_BUCKETS, PREDICTION_BUCKETS, STAGE_BUCKETS } from "./buckets.ts";

export const predictionDuration: HistogramFamily<["model"]> = {
  name: "millrace_prediction_duration_seconds",
  type: "histogram",
  help: "Time from a predict request's arrival in its handler to its answer, of requests that were answered.",
  labels: ["model"],
  buckets: PREDICTION_BUCKETS,
};

export const predictionStageDuration: HistogramFamily<["model", "stage"]> = {
  name: "millrace_prediction_stage_duration_seconds",
  type: "histogram",
  help: "Time of one stage of an answered predict request: features (store round trip, windows, transforms) or model.",
  labels: ["model", "stage"],
  buckets: STAGE_BUCKETS,
};

export const predictions: CounterFamily<["model"]> = {
  name: "millrace_predictions_total",
  type: "counter",
  help: "Rows that were predicted.",
  labels: ["model"],
  buckets: [],
};

export const predictionRequests: CounterFamily<["model", "outcome"]> = {
  name: "millrace_prediction_requests_total",
  type: "counter",
  help: "Predict requests by outcome: ok, or the error's code. A model that nobody ever loaded is counted as unknown.",
  labels: ["model", "outcome"],
  buckets: [],
};

export const predictionsInFlight: GaugeFamily<[]> = {
  name: "millrace_prediction_requests_in_flight",
  type: "gauge",
  help: "Predict requests that have begun and are not answered.",
  labels: [],
  buckets: [],
};

export const batches: CounterFamily<["model", "format", "outcome"]> = {
  name: "millrace_batches_total",
  type: "counter",
  help: "Batches of predictions by the format of their body and their outcome: ok, or the code of the error that ended them. A model that nobody ever loaded is counted as unknown.",
  labels: ["model", "format", "outcome"],
  buckets: [],
};

export const batchRows: CounterFamily<["model", "outcome"]> = {
  name: "millrace_batch_rows_total",
  type: "counter",
  help: "Rows of batches by outcome: ok, or error for those that were answered with an error in place.",
  labels: ["model", "outcome"],
  buckets: [],
};

export const modelLoadDuration: HistogramFamily<["model"]> = {
  name: "millrace_model_load_duration_seconds",
  type: "histogram",
  help: "Time to load, warm up and check a version of a model, failed attempts included.",
  labels: ["model"],
  buckets: COARSE_BUCKETS,
};

export const modelLoads: CounterFamily<["model", "outcome"]> = {
  name: "millrace_model_loads_total",
  type: "counter",
  help: "Attempts to load a version of a model by outcome: ok, or the error's code.",
  labels: ["model", "outcome"],
  buckets: [],
};

export const modelLastLoad: GaugeFamily<["model"]> = {
  name: "millrace_model_last_load_timestamp_seconds",
  type: "gauge",
  help: "When a version of the model was last loaded without an error, in seconds since 1970.",
  labels: ["model"],
  buckets: [],
};

export const modelUpdateFailures: CounterFamily<["model", "reason"]> = {
  name: "millrace_model_update_failures_total",
  type: "counter",
  help: "New versions of the model that could not be loaded, and looks for new versions that failed, by the error's code. The version that served goes on serving.",
  labels: ["model", "reason"],
  buckets: [],
};

export const modelUpdateFailing: GaugeFamily<["model"]> = {
  name: "millrace_model_update_failing",
  type: "gauge",
  help: "1 while a version that should serve cannot be loaded, or the model's versions cannot be listed; else 0.",
  labels: ["model"],
  buckets: [],
};

export const modelWebhooks: CounterFamily<["outcome"]> = {
  name: "millrace_model_webhooks_total",
  type: "counter",
  help: "Webhooks of model registries: taken, repeated (taken before), ignored (of no model that is declared, or no model at all) or refused (signature, time).",
  labels: ["outcome"],
  buckets: [],
};

export const scoringDuration: HistogramFamily<["server"]> = {
  name: "millrace_scoring_duration_seconds",
  type: "histogram",
  help: "Time of a request to a scoring server that predicts for a model, its retries included, of those that were answered.",
  labels: ["server"],
  buckets: COARSE_BUCKETS,
};

export const scoringRequests: CounterFamily<["server", "outcome"]> = {
  name: "millrace_scoring_requests_total",
  type: "counter",
  help: "Requests to a scoring server by outcome: ok, or the error's code; those refused by the open circuit breaker, too.",
  labels: ["server", "outcome"],
  buckets: [],
};

export const scoringRetries: CounterFamily<["server"]> = {
  name: "millrace_scoring_retries_total",
  type: "counter",
  help: "Requests to a scoring server that were sent again.",
  labels: ["server"],
  buckets: [],
};

export const scoringBreakerOpen: GaugeFamily<["server"]> = {
  name: "millrace_scoring_breaker_open",
  type: "gauge",
  help: "1 while the scoring server is left alone because it failed too often; 0.5 while one request tries it; else 0.",
  labels: ["server"],
  buckets: [],
};

export const modelServing: GaugeFamily<["model", "version"]> = {
  name: "millrace_model_serving_info",
  type: "gauge",
  help: "1 for the version of the model that answers.",
  labels: ["model", "version"],
  buckets: [],
};

export const modelSize: GaugeFamily<["model"]> = {
  name: "millrace_model_size_bytes",
  type: "gauge",
  help: "Size of the version of the model that answers.",
  labels: ["model"],
  buckets: [],
};

export const httpRequests: CounterFamily<["method", "route", "status"]> = {
  name: "millrace_http_requests_total",
  type: "counter",
  help: "HTTP requests by the pattern of their route and the answer's status.",
  labels: ["method", "route", "status"],
  buckets: [],
};

export const httpRequestDuration: HistogramFamily<["method", "route"]> = {
  name: "millrace_http_request_duration_seconds",
  type: "histogram",
  help: "Time from an HTTP request's arrival until its answer was sent.",
  labels: ["method", "route"],
  buckets: COARSE_BUCKETS,
};

export const shedRequests: CounterFamily<["class"]> = {
  name: "millrace_shed_requests_total",
  type: "counter",
  help: "Requests that were refused with 503 before they began, because they would have waited too long: predict, features or batch.",
  labels: ["class"],
  buckets: [],
};

export const certificateExpiry: GaugeFamily<[]> = {
  name: "millrace_tls_certificate_expiry_timestamp_seconds",
  type: "gauge",
  help: "When the certificate that the server shows ends, or the first of its chain, in seconds since 1970. Missing without TLS.",
  labels: [],
  buckets: [],
};

export const certificateUpdateFailing: GaugeFamily<[]> = {
  name: "millrace_tls_certificate_update_failing",
  type: "gauge",
  help: "1 while the files hold a certificate that cannot be used; the one before goes on.",
  labels: [],
  buckets: [],
};

export const certificateUpdates: CounterFamily<["outcome"]> = {
  name: "millrace_tls_certificate_updates_total",
  type: "counter",
  help: "Certificates that were looked at, the first one included: ok, or what was wrong with it (unreadable, malformed, key_mismatch, expired, not_yet_valid).",
  labels: ["outcome"],
  buckets: [],
};
