import { holding, limit, type Scale, window } from "./scale.ts";

export interface Alert {
  /** In docs/runbooks a page has this name. */
  readonly alert: string;
  readonly expr: string;
  /** How long it must hold before it fires. */
  readonly for: string;
  /** `page`: a person is needed now. `ticket`: in working hours. */
  readonly severity: "page" | "ticket";
  readonly summary: string;
  readonly description: string;
}

/** Of a hundred requests, so many may fail; and so many predictions may be slow. */
const AVAILABILITY_BUDGET = 0.001;
const LATENCY_BUDGET = 0.01;

/**
 * How fast the error budget of 30 days burns, over a long and a short window that must both agree: the short one ends the
 * alert soon after the fault (Google's SRE workbook, "Alerting on SLOs", 6).
 */
const BURN = [
  {
    name: "Fast",
    rates: [
      { factor: 14.4, long: "1h", short: "5m" },
      { factor: 6, long: "6h", short: "30m" },
    ],
    for: "2m",
    severity: "page",
  },
  { name: "Slow", rates: [{ factor: 1, long: "3d", short: "6h" }], for: "1h", severity: "ticket" },
] as const;

function burnAlerts(
  {
    alert,
    record,
    budget,
    what,
  }: { readonly alert: string; readonly record: string; readonly budget: number; readonly what: string },
  scale: Scale,
): readonly Alert[] {
  return BURN.map((burn) => ({
    alert: `${alert}${burn.name}`,
    expr: burn.rates
      .map(({ factor, long, short }) => {
        const most = Number((factor * budget).toPrecision(6));
        return `(${record}:ratio_rate${long} > ${most} and ${record}:ratio_rate${short} > ${most})`;
      })
      .join(" or "),
    for: holding(burn.for, scale),
    severity: burn.severity,
    summary: `${what}: the error budget burns ${burn.name === "Fast" ? "fast" : "slowly but steadily"}.`,
    description: `Now {{ $value | humanizePercentage }} over the long window; the objective allows ${budget * 100}% in 30 days.`,
  }));
}

/** When somebody should look. Thresholds suit most, and are to be changed where they do not. */
export function alerts(scale: Scale): readonly Alert[] {
  const forAtLeast = (text: string): string => holding(text, scale);
  return [
    {
      alert: "MillraceDown",
      expr: `up{job="millrace"} == 0`,
      for: forAtLeast("1m"),
      severity: "page",
      summary: "{{ $labels.instance }} cannot be scraped.",
      description: "The process is gone, hangs or cannot be reached.",
    },
    {
      alert: "MillracePipelineDown",
      expr: "millrace_pipeline_up == 0",
      for: forAtLeast("1m"),
      severity: "page",
      summary: "The pipeline of {{ $labels.instance }} has ended.",
      description: "Nothing is ingested; what is served grows old.",
    },
    ...burnAlerts(
      {
        alert: "MillraceAvailabilityBurn",
        record: "job:millrace_http_errors",
        budget: AVAILABILITY_BUDGET,
        what: "Requests fail",
      },
      scale,
    ),
    ...burnAlerts(
      {
        alert: "MillraceLatencyBurn",
        record: "job:millrace_predictions_slow",
        budget: LATENCY_BUDGET,
        what: "Predictions are slow",
      },
      scale,
    ),
    {
      alert: "MillraceHotStoreUnavailable",
      expr: "service:millrace_online_store_unavailable:ratio_rate5m > 0.01",
      for: forAtLeast("1m"),
      severity: "page",
      summary: "The hot store does not answer reads of {{ $labels.service }}.",
      description: "{{ $value | humanizePercentage }} of the values are missing from answers.",
    },
    {
      alert: "MillraceIngestionLag",
      expr: `source:millrace_ingestion_lag_seconds:max > ${limit(300, scale)}`,
      for: forAtLeast("5m"),
      severity: "page",
      summary: "{{ $labels.source }} is {{ $value | humanizeDuration }} behind.",
      description: "Features are computed of events that are that old.",
    },
    {
      alert: "MillraceIngestionStalled",
      expr: `source:millrace_ingestion_checkpoint_age_seconds:min > ${limit(300, scale)} and on (job, source) sum by (job, source) (millrace_ingestion_lag_messages) > 0`,
      for: forAtLeast("2m"),
      severity: "page",
      summary: "{{ $labels.source }} has messages and none is handled.",
      description: "No position was kept for {{ $value | humanizeDuration }}.",
    },
    {
      alert: "MillraceViewStale",
      expr: `view:millrace_view_freshness_seconds:min > ${limit(3_600, scale)}`,
      for: forAtLeast("10m"),
      severity: "ticket",
      summary: "The newest event of {{ $labels.view }} is {{ $value | humanizeDuration }} old.",
      description: "Its source has become quiet, or its events are late.",
    },
    {
      alert: "MillraceDeadLetters",
      expr: "source:millrace_ingestion_dead_letters:ratio_rate5m > 0.01",
      for: forAtLeast("10m"),
      severity: "ticket",
      summary: "Messages of {{ $labels.source }} are set aside.",
      description: "{{ $value | humanizePercentage }} of its messages cannot be used.",
    },
    {
      alert: "MillraceCacheHitRatioLow",
      expr: "service:millrace_online_cache_hits:ratio_rate5m < 0.5",
      for: forAtLeast("30m"),
      severity: "ticket",
      summary: "The cache of {{ $labels.service }} helps little.",
      description: "Only {{ $value | humanizePercentage }} of the values came from it.",
    },
    {
      alert: "MillraceModelUpdateFailing",
      expr: "max by (job, model) (millrace_model_update_failing) == 1",
      for: forAtLeast("5m"),
      severity: "ticket",
      summary: "A version of {{ $labels.model }} that should serve does not.",
      description: "It cannot be loaded, or the registry does not answer; the version before goes on serving.",
    },
    {
      alert: "MillraceCertificateExpires",
      expr: "min by (job, instance) (millrace_tls_certificate_expiry_timestamp_seconds) - time() < 7 * 86400",
      for: forAtLeast("10m"),
      severity: "ticket",
      summary: "The certificate of {{ $labels.instance }} ends soon.",
      description: "In {{ $value | humanizeDuration }}; then clients refuse to connect.",
    },
    {
      alert: "MillraceCertificateUpdateFailing",
      expr: "max by (job, instance) (millrace_tls_certificate_update_failing) == 1",
      for: forAtLeast("5m"),
      severity: "ticket",
      summary: "{{ $labels.instance }} cannot take its new certificate.",
      description: "The one before goes on until it ends.",
    },
    {
      alert: "MillraceScoringServerDown",
      expr: "millrace_scoring_breaker_open == 1",
      for: forAtLeast("2m"),
      severity: "page",
      summary: "The scoring server {{ $labels.server }} fails.",
      description: "Its models answer with errors; it is tried again from time to time.",
    },
    {
      alert: "MillraceShedding",
      expr: `sum by (job, class) (rate(millrace_shed_requests_total[${window("5m", scale)}])) > 1`,
      for: forAtLeast("5m"),
      severity: "page",
      summary: "More {{ $labels.class }} requests come than can be answered.",
      description: "{{ $value | humanize }} a second are refused with 503.",
    },
    {
      alert: "MillraceEventLoopBlocked",
      expr: "thread:millrace_thread_event_loop_lag_seconds:p99_5m > 0.5",
      for: forAtLeast("10m"),
      severity: "ticket",
      summary: "The thread {{ $labels.thread }} is held up.",
      description: "One task in a hundred waits {{ $value | humanizeDuration }} for its turn.",
    },
    {
      alert: "MillraceFeatureDrift",
      expr: "max by (job, service, feature) (millrace_feature_drift_detected) == 1",
      for: forAtLeast("10m"),
      severity: "ticket",
      summary: "{{ $labels.feature }} of {{ $labels.service }} is not what the model was trained on.",
      description: "Its values have left the profile of the training set.",
    },
    {
      alert: "MillraceTrainingServingSkew",
      expr: `sum by (job, service) (increase(millrace_training_serving_skew_rows_total{outcome="different"}[${window("1h", scale)}])) > 0`,
      for: forAtLeast("5m"),
      severity: "ticket",
      summary: "{{ $labels.service }} served other features than history has.",
      description: "{{ $value | humanize }} of the logged predictions that were computed again differ.",
    },
    {
      alert: "MillraceModelDegraded",
      expr: "max by (job, model, outcome, metric) (millrace_model_quality_degraded) == 1",
      for: forAtLeast("10m"),
      severity: "ticket",
      summary: "{{ $labels.model }} is worse than it must be: its {{ $labels.metric }} is beyond the declared bound.",
      description: "By its last 500 outcomes ({{ $labels.outcome }}), and by more than chance explains.",
    },
    {
      alert: "MillraceOutcomesMissing",
      expr:
        `max by (job, model, outcome) (millrace_model_quality_rows{version="all",window!="recent",state="unmatched"}) > 100` +
        ` and on (job, model, outcome) min by (job, model, outcome) (millrace_model_quality_rows{version="all",window!="recent",state="matched"}) == 0`,
      for: forAtLeast("30m"),
      severity: "ticket",
      summary: "No outcome of {{ $labels.model }} arrives any more.",
      description: "{{ $value }} predictions have none ({{ $labels.outcome }}), so nobody knows how good they are.",
    },
  ];
}
