import type { ModelMeta } from "../../definitions/model.ts";
import type { Value } from "../../definitions/value.ts";
import type { WholeAnswers } from "../models/predict-whole.ts";
import { valueJson } from "../value-json.ts";

/**
 * The answer as MLflow's scoring server writes that of an array: a value per row, or a list of values where the model
 * declares several output columns.
 */
export function scoringAnswer({ output }: ModelMeta, answers: WholeAnswers, count: number): string {
  const cell =
    answers.kind === "matrix"
      ? (r: number, c: number): Value => answers.answers.values[r * output.length + c]! + 0
      : (r: number, c: number): Value => answers.rows[r]![output[c]!.name]!;
  const rows = new Array<string>(count);
  for (let r = 0; r < count; r++) {
    const values = output.map(({ type }, c) => valueJson(cell(r, c), type));
    rows[r] = values.length === 1 ? values[0]! : `[${values.join(",")}]`;
  }
  return `{"predictions":[${rows.join(",")}]}`;
}
