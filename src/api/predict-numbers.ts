import type { ModelMeta } from "../definitions/model.ts";
import type { ApiContext } from "./api-context.ts";
import type { WholeOptions } from "./models/model-host.ts";
import type { NumberMatrixRows } from "./number-rows.ts";
import type { PredictForm } from "./predict-forms.ts";

/** Some thirty rows of as many numbers: smaller bodies share a call of the model with others of their turn. */
const LARGE_BYTES = 16_384;

/** The rows of a large body of numbers alone; null for any other. */
export function largeNumbers(form: PredictForm, bytes: Buffer, from: number): NumberMatrixRows | null {
  if (form.readNumbers === null || bytes.length - from < LARGE_BYTES) return null;
  return form.readNumbers(bytes, from, bytes.length);
}

/** Predicts them, and gives the answer's JSON. @throws what `ModelHost.predictWhole` throws */
export async function predictNumbers(
  api: ApiContext,
  model: ModelMeta,
  form: PredictForm,
  numbers: NumberMatrixRows,
  options: WholeOptions,
): Promise<string> {
  const { count, matrix, release } = numbers;
  const asOf = await api.features.now(api.features.service(model.service.name));
  const answer = await api.models.predictWhole(model.name, { kind: "matrix", count, matrix }, options);
  // What failed, or was too late, may still be reading them.
  if (!answer.fallback) release();
  return form.writeWhole(answer, asOf);
}
