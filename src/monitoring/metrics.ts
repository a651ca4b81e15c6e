import { beamMetrics } from "./beam-metrics.ts";
import { certificateMetrics } from "./certificate-metrics.ts";
import { engineMetrics } from "./engine-metrics.ts";
import { httpMetrics } from "./http-metrics.ts";
import { ingestionMetrics } from "./ingestion-metrics.ts";
import { createMetricSet } from "./metric-set.ts";
import { modelMetrics } from "./model-metrics.ts";
import { onlineReadMetrics } from "./online-read-metrics.ts";
import { outcomeMetrics } from "./outcome-metrics.ts";
import { predictionMetrics } from "./prediction-metrics.ts";
import { processMetrics } from "./process-metrics.ts";
import { NO_SKEW, qualityMetrics } from "./quality-metrics.ts";
import type { MetricsReader, QualityReader } from "./read-side.ts";
import { scoringMetrics } from "./scoring-metrics.ts";
import { threadMetrics } from "./thread-metrics.ts";

export interface MetricsOptions {
  /**
   * `main`: API, reads of the feature store, the process. `pipeline`: ingestion and engine. `beam`: the launcher of jobs of
   * Apache Beam. All: the thread itself.
   */
  readonly thread: "main" | "pipeline" | "beam";
  /** What the thread is called in its metrics. Default: as `thread`. */
  readonly label?: string;
  /** Of the main thread: whether that of the pipeline answers. Default: it does. */
  readonly pipelineUp?: () => boolean;
  /**
   * The id of the trace that the caller is in, as 32 hex digits, if it is recorded; asked for with each prediction and
   * HTTP request, in its own stack. It becomes the exemplar of their latencies. Default: there is none.
   */
  readonly traceId?: () => string | null;
  /** Wall clock, epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number;
}

export interface Metrics extends MetricsReader, QualityReader {
  /** Ends the subscriptions. What was counted can still be rendered. */
  close(): void;
  [Symbol.dispose](): void;
}

/**
 * Subscribes to the channels of the layers that run in this thread and counts from now on. Diagnostics channels reach
 * no other thread: make one in each, and join what they render with `mergeExpositions`.
 */
export function createMetrics(options: MetricsOptions): Metrics {
  const { thread, now = Date.now, traceId = () => null } = options;
  const set = createMetricSet();
  const ends = [threadMetrics(set, options.label ?? thread)];
  let quality: QualityReader["quality"] = () => ({
    model: null,
    rows: 0,
    features: [],
    skew: NO_SKEW,
    predictions: [],
  });
  if (thread === "main") {
    const ofRows = qualityMetrics(set, now);
    quality = ofRows.quality;
    ends.push(
      ofRows.end,
      predictionMetrics(set, traceId),
      modelMetrics(set, now),
      scoringMetrics(set),
      httpMetrics(set, traceId),
      onlineReadMetrics(set),
      certificateMetrics(set),
    );
    processMetrics(set, options.pipelineUp ?? (() => true));
  } else if (thread === "beam") {
    ends.push(beamMetrics(set, now));
  } else {
    ends.push(ingestionMetrics(set, now), engineMetrics(set), outcomeMetrics(set));
  }
  const close = (): void => {
    for (const end of ends.splice(0)) end();
  };
  return { render: set.render, quality, close, [Symbol.dispose]: close };
}
