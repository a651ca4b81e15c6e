import {
  BATCH_CHANNEL,
  type BatchEvent,
  MODEL_LOAD_CHANNEL,
  type ModelLoadEvent,
  PREDICTION_CHANNEL,
  PREDICTION_START_CHANNEL,
  type PredictionEvent,
} from "../api/channels.ts";
import * as families from "./families/serving.ts";
import { type HistogramCell, observe } from "./histogram-cell.ts";
import type { MetricSet } from "./metric-set.ts";
import type { NumberCell } from "./number-cell.ts";
import { subscribe } from "./subscribe.ts";

interface ModelCells {
  readonly seconds: HistogramCell;
  readonly features: HistogramCell;
  readonly model: HistogramCell;
  readonly rows: NumberCell;
  readonly ok: NumberCell;
}

/** The label of requests for a name that was never loaded: callers choose it, so it must not become a series. */
const UNKNOWN_MODEL = "unknown";

/** Measures predict requests; `traceId` gives the exemplars of their latencies. Returns what ends that. */
export function predictionMetrics(set: MetricSet, traceId: () => string | null): () => void {
  const seconds = set.histogram(families.predictionDuration);
  const stages = set.histogram(families.predictionStageDuration);
  const rows = set.counter(families.predictions);
  const requests = set.counter(families.predictionRequests);
  const batches = set.counter(families.batches);
  const batchRows = set.counter(families.batchRows);
  const inFlight = set.gauge(families.predictionsInFlight).child();
  const loaded = new Set<string>();
  const answering = new Map<string, ModelCells>();

  function answeringCells(model: string): ModelCells {
    loaded.add(model);
    const cells: ModelCells = {
      seconds: seconds.child(model),
      features: stages.child(model, "features"),
      model: stages.child(model, "model"),
      rows: rows.child(model),
      ok: requests.child(model, "ok"),
    };
    answering.set(model, cells);
    return cells;
  }

  const ends = [
    subscribe<ModelLoadEvent>(MODEL_LOAD_CHANNEL, (event) => loaded.add(event.model)),
    subscribe<BatchEvent>(BATCH_CHANNEL, ({ model, format, rows, failed, outcome }) => {
      const name = loaded.has(model) ? model : UNKNOWN_MODEL;
      batches.child(name, format, outcome).value++;
      if (rows === 0) return;
      batchRows.child(name, "ok").value += rows - failed;
      if (failed > 0) batchRows.child(name, "error").value += failed;
    }),
    subscribe(PREDICTION_START_CHANNEL, () => {
      inFlight.value++;
    }),
    subscribe<PredictionEvent>(PREDICTION_CHANNEL, (event) => {
      // Requests that began before monitoring did were not counted then.
      if (inFlight.value > 0) inFlight.value--;
      if (event.outcome !== "ok") {
        const known = event.version !== null || loaded.has(event.model);
        requests.child(known ? event.model : UNKNOWN_MODEL, event.outcome).value++;
        return;
      }
      const cells = answering.get(event.model) ?? answeringCells(event.model);
      cells.ok.value++;
      cells.rows.value += event.rows;
      observe(cells.seconds, event.seconds, traceId());
      observe(cells.features, event.stages.features);
      observe(cells.model, event.stages.model);
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}
