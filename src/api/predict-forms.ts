import type { ModelMeta } from "../definitions/model.ts";
import type { ApiContext } from "./api-context.ts";
import { compileNumberRows, type NumberRows } from "./number-rows.ts";
import { compilePlainRows, type PlainRows } from "./plain-rows.ts";
import { compilePredictionJson, compileWholeJson, type PredictionWriter, type WholeWriter } from "./prediction-json.ts";

/** How a model's requests are read and its answers written. */
export interface PredictForm {
  /** Null if the service has names or values that only the ordinary reader reads. */
  readonly read: PlainRows | null;
  readonly write: PredictionWriter;
  /** Null if not all that the model reads are numbers that come with the request, or its predictions are logged. */
  readonly readNumbers: NumberRows | null;
  readonly writeWhole: WholeWriter;
}

/** Compiles the form of each declaration of a model once: they may be replaced while the server runs. */
export function predictForms(api: ApiContext): (model: ModelMeta) => PredictForm {
  const forms = new WeakMap<ModelMeta, PredictForm>();
  return (model) => {
    let form = forms.get(model);
    if (form === undefined) {
      const runtime = api.features.service(model.service.name);
      const { maxRows } = api.limits;
      const write = compilePredictionJson(model, runtime.row.columns);
      form = {
        read: compilePlainRows(model.service.lookup, maxRows),
        write,
        // The log keeps rows with their lookups.
        readNumbers: model.logSampleRate > 0 ? null : compileNumberRows(runtime, maxRows),
        writeWhole: compileWholeJson(model, write),
      };
      forms.set(model, form);
    }
    return form;
  };
}
