import type { ModelMeta } from "../../definitions/model.ts";
import { modelError } from "./model-errors.ts";
import type { Prediction } from "./model-host.ts";
import type { PredictionRow } from "./model-output.ts";

/** What stands in for a model that did not answer in time. @throws `DEADLINE_EXCEEDED` if the model declares none */
export function fallbackPrediction(model: ModelMeta, rows: number): Prediction {
  const { fallback } = model;
  if (fallback === null) {
    throw modelError(
      "DEADLINE_EXCEEDED",
      `Model '${model.name}' did not answer within its timeout of ${model.timeoutMs} ms, and declares no fallback. Send fewer rows at once, raise the timeout, or declare a fallback.`,
      { kind: "operational", details: { model: model.name, timeout_ms: model.timeoutMs } },
    );
  }
  return {
    model: model.name,
    version: null,
    predictions: new Array<PredictionRow>(rows).fill(fallback),
    features: null,
    asOf: null,
    headOverlap: [],
    fallback: true,
    id: null,
  };
}
