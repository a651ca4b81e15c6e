import type { ModelMeta } from "../definitions/model.ts";
import type { ApiContext } from "./api-context.ts";
import { compilePlainRows, type PlainRows } from "./plain-rows.ts";
import { compilePredictionJson, type PredictionWriter } from "./prediction-json.ts";

/** How a model's requests are read and its answers written. */
export interface PredictForm {
  /** Null if the service has names or values that only the ordinary reader reads. */
  readonly read: PlainRows | null;
  readonly write: PredictionWriter;
}

/** Compiles the form of each declaration of a model once: they may be replaced while the server runs. */
export function predictForms(api: ApiContext): (model: ModelMeta) => PredictForm {
  const forms = new WeakMap<ModelMeta, PredictForm>();
  return (model) => {
    let form = forms.get(model);
    if (form === undefined) {
      const { row } = api.features.service(model.service.name);
      const read = compilePlainRows(model.service.lookup, api.limits.maxRows);
      form = { read, write: compilePredictionJson(model, row.columns) };
      forms.set(model, form);
    }
    return form;
  };
}
