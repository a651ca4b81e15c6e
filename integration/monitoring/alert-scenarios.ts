/** What promtool feeds the rules with: a fault of one kind, and when its alert is there. */
export interface AlertScenario {
  readonly alert: string;
  /** One value a minute from 0, in promtool's notation. */
  readonly series: readonly (readonly [series: string, values: string])[];
  /** Besides its severity. */
  readonly labels: Readonly<Record<string, string>>;
  readonly silentAt: string;
  readonly firesAt: string;
  readonly endsAt: string;
}

const JOB = 'job="millrace",instance="a"';

/** A counter that grows by `before` a minute, for `faulty` minutes by `during`, then as before. */
function grows(before: number, healthy: number, during: number, faulty: number): string {
  const first = before * healthy;
  const second = first + during * faulty;
  return `0+${before}x${healthy} ${first + during}+${during}x${faulty - 1} ${second + before}+${before}x400`;
}

/** A gauge that is `value` in minutes [20, 20 + minutes). */
function raised(value: number, minutes: number, otherwise = 0): string {
  return `${otherwise}x19 ${value}x${minutes - 1} ${otherwise}x400`;
}

const requests = (status: string): string =>
  `millrace_http_requests_total{${JOB},method="POST",route="/v1/models/:name/predict",status="${status}"}`;
const bucket = (le: string): string => `millrace_prediction_duration_seconds_bucket{${JOB},model="m",le="${le}"}`;
const count = `millrace_prediction_duration_seconds_count{${JOB},model="m"}`;
const shares = { job: "millrace" };
const brief = { silentAt: "19m", firesAt: "50m", endsAt: "5h" };

export const alertScenarios: readonly AlertScenario[] = [
  {
    alert: "MillraceDown",
    series: [[`up{${JOB}}`, raised(0, 30, 1)]],
    labels: { job: "millrace", instance: "a" },
    silentAt: "20m",
    firesAt: "22m",
    endsAt: "55m",
  },
  {
    alert: "MillracePipelineDown",
    series: [[`millrace_pipeline_up{${JOB}}`, raised(0, 30, 1)]],
    labels: { job: "millrace", instance: "a" },
    silentAt: "20m",
    firesAt: "22m",
    endsAt: "55m",
  },
  {
    alert: "MillraceAvailabilityBurnFast",
    series: [
      [requests("200"), grows(1_000, 60, 900, 60)],
      [requests("503"), grows(0, 60, 100, 60)],
    ],
    labels: shares,
    silentAt: "60m",
    firesAt: "90m",
    endsAt: "150m",
  },
  {
    alert: "MillraceAvailabilityBurnSlow",
    series: [
      [requests("200"), "0+1000x600 600996+996x599 1198600+1000x1000"],
      [requests("503"), "0+0x600 4+4x599 2400+0x1000"],
    ],
    labels: shares,
    silentAt: "600m",
    firesAt: "1190m",
    endsAt: "1700m",
  },
  {
    alert: "MillraceLatencyBurnFast",
    series: [
      [bucket("0.1"), grows(1_000, 60, 500, 60)],
      [bucket("+Inf"), "0+1000x520"],
      [count, "0+1000x520"],
    ],
    labels: shares,
    silentAt: "60m",
    firesAt: "90m",
    endsAt: "160m",
  },
  {
    alert: "MillraceLatencyBurnSlow",
    series: [
      [bucket("0.1"), "0+1000x600 600950+950x599 1171000+1000x1000"],
      [bucket("+Inf"), "0+1000x2200"],
      [count, "0+1000x2200"],
    ],
    labels: shares,
    silentAt: "600m",
    firesAt: "1190m",
    endsAt: "1700m",
  },
  {
    alert: "MillraceHotStoreUnavailable",
    series: [
      [`millrace_online_store_hits_total{${JOB},service="s"}`, "0+1000x480"],
      [`millrace_online_store_misses_total{${JOB},service="s"}`, "0+0x480"],
      [`millrace_online_store_unavailable_total{${JOB},service="s"}`, grows(0, 20, 100, 40)],
    ],
    labels: { job: "millrace", service: "s" },
    ...brief,
  },
  {
    alert: "MillraceIngestionLag",
    series: [[`millrace_ingestion_lag_seconds{${JOB},source="s",partition="0"}`, raised(400, 40)]],
    labels: { job: "millrace", source: "s" },
    ...brief,
  },
  {
    alert: "MillraceIngestionStalled",
    series: [
      [`millrace_ingestion_lag_messages{${JOB},source="s",partition="0"}`, "7x480"],
      [
        `millrace_ingestion_last_checkpoint_timestamp_seconds{${JOB},source="s",partition="0"}`,
        "0+60x20 1200x40 3660+60x400",
      ],
    ],
    labels: { job: "millrace", source: "s" },
    ...brief,
  },
  {
    alert: "MillraceViewStale",
    series: [
      [`millrace_view_newest_event_timestamp_seconds{${JOB},view="v",source="s"}`, "0+60x20 1200x100 7320+60x400"],
    ],
    labels: { job: "millrace", view: "v" },
    silentAt: "60m",
    firesAt: "115m",
    endsAt: "3h",
  },
  {
    alert: "MillraceDeadLetters",
    series: [
      [`millrace_ingestion_dead_letters_total{${JOB},source="s",code="DECODE_FAILED"}`, grows(0, 20, 100, 40)],
      [`millrace_ingestion_batch_messages_sum{${JOB},source="s"}`, "0+1000x480"],
    ],
    labels: { job: "millrace", source: "s" },
    ...brief,
  },
  {
    alert: "MillraceCacheHitRatioLow",
    series: [
      [`millrace_online_cache_hits_total{${JOB},service="s"}`, grows(900, 20, 100, 60)],
      [`millrace_online_cache_misses_total{${JOB},service="s"}`, grows(100, 20, 900, 60)],
    ],
    labels: { job: "millrace", service: "s" },
    silentAt: "20m",
    firesAt: "70m",
    endsAt: "2h",
  },
  {
    alert: "MillraceModelUpdateFailing",
    series: [[`millrace_model_update_failing{${JOB},model="m"}`, raised(1, 40)]],
    labels: { job: "millrace", model: "m" },
    ...brief,
  },
  {
    alert: "MillraceCertificateExpires",
    series: [[`millrace_tls_certificate_expiry_timestamp_seconds{${JOB}}`, raised(500_000, 40, 10_000_000)]],
    labels: { job: "millrace", instance: "a" },
    ...brief,
  },
  {
    alert: "MillraceCertificateUpdateFailing",
    series: [[`millrace_tls_certificate_update_failing{${JOB}}`, raised(1, 40)]],
    labels: { job: "millrace", instance: "a" },
    ...brief,
  },
  {
    alert: "MillraceScoringServerDown",
    series: [[`millrace_scoring_breaker_open{${JOB},server="s"}`, raised(1, 40)]],
    labels: { job: "millrace", instance: "a", server: "s" },
    ...brief,
  },
  {
    alert: "MillraceShedding",
    series: [[`millrace_shed_requests_total{${JOB},class="predict"}`, grows(0, 20, 600, 40)]],
    labels: { job: "millrace", class: "predict" },
    ...brief,
  },
  {
    alert: "MillraceEventLoopBlocked",
    series: [
      [`millrace_thread_event_loop_lag_seconds_bucket{${JOB},thread="main",le="0.1"}`, grows(3_000, 20, 1_000, 40)],
      [`millrace_thread_event_loop_lag_seconds_bucket{${JOB},thread="main",le="1"}`, "0+3000x480"],
      [`millrace_thread_event_loop_lag_seconds_bucket{${JOB},thread="main",le="+Inf"}`, "0+3000x480"],
    ],
    labels: { job: "millrace", thread: "main" },
    ...brief,
  },
  {
    alert: "MillraceFeatureDrift",
    series: [[`millrace_feature_drift_detected{${JOB},service="s",feature="f"}`, raised(1, 40)]],
    labels: { job: "millrace", service: "s", feature: "f" },
    ...brief,
  },
  {
    alert: "MillraceTrainingServingSkew",
    series: [
      [`millrace_training_serving_skew_rows_total{${JOB},service="s",outcome="equal"}`, "0+100x480"],
      [`millrace_training_serving_skew_rows_total{${JOB},service="s",outcome="different"}`, grows(0, 20, 5, 40)],
    ],
    labels: { job: "millrace", service: "s" },
    ...brief,
  },
  {
    alert: "MillraceModelDegraded",
    series: [[`millrace_model_quality_degraded{${JOB},model="m",outcome="o",metric="auc"}`, raised(1, 40)]],
    labels: { job: "millrace", model: "m", outcome: "o", metric: "auc" },
    ...brief,
  },
  {
    alert: "MillraceOutcomesMissing",
    series: ["1d", "7d", "recent"].flatMap((span): [string, string][] => {
      const labels = `${JOB},model="m",outcome="o",version="all",window="${span}"`;
      const matched = span === "1d" ? "500x20 0x60 500x400" : "500x480";
      return [
        [`millrace_model_quality_rows{${labels},state="matched"}`, matched],
        [`millrace_model_quality_rows{${labels},state="unmatched"}`, "200x480"],
      ];
    }),
    labels: { job: "millrace", model: "m", outcome: "o" },
    silentAt: "20m",
    firesAt: "70m",
    endsAt: "2h",
  },
];
