import type { ModelMeta } from "../../definitions/model.ts";
import type { Value } from "../../definitions/value.ts";
import { redactedFeatures } from "../../feature_store/prediction-redaction.ts";
import type { PredictedRowsEvent } from "../channels.ts";
import type { PredictionRow } from "./model-output.ts";
import type { NumberMatrix } from "./model-runner.ts";
import type { WholeAnswers, WholeRows } from "./predict-whole.ts";
import type { ServedModel } from "./served-model.ts";

/** What is published of rows whose features were looked up. */
export function predictedRows(
  model: ModelMeta,
  served: ServedModel,
  rows: readonly (readonly Value[])[],
  predictions: readonly PredictionRow[],
): PredictedRowsEvent {
  const { facts, positions } = factsOf(model, served);
  return {
    ...facts,
    rows: rows.length,
    feature: (row, column) => rows[row]![positions[column]!]!,
    answer: answersOf(model, predictions),
  };
}

/** What is published of rows that came with their features. */
export function predictedWhole(
  model: ModelMeta,
  served: ServedModel,
  rows: WholeRows,
  answers: WholeAnswers,
): PredictedRowsEvent {
  const { facts, positions } = factsOf(model, served);
  const numbers = rows.kind === "rows" ? null : numbersOf(rows.matrix, served.columns.length);
  return {
    ...facts,
    rows: rows.count,
    feature:
      rows.kind === "rows"
        ? (row, column) => rows.rows[row]![positions[column]!]!
        : (row, column) => numbers!(row, positions[column]!),
    answer:
      answers.kind === "rows"
        ? answersOf(model, answers.rows)
        : numbersOf(answers.answers.values, answers.answers.width),
  };
}

interface Facts {
  readonly facts: Pick<PredictedRowsEvent, "model" | "version" | "service" | "columns" | "outputs" | "profile">;
  /** Where each column stands in the model's rows: redacted ones are not told of. */
  readonly positions: readonly number[];
}
const known = new WeakMap<ServedModel, Facts>();

function factsOf(model: ModelMeta, served: ServedModel): Facts {
  const before = known.get(served);
  if (before !== undefined) return before;
  const redacted = redactedFeatures(model);
  const isShown = served.columns.map(({ feature }) => !redacted.has(feature));
  const facts: Facts = {
    facts: {
      model: model.name,
      version: served.version.version,
      service: model.service.name,
      columns: isShown.every(Boolean) ? served.columns : served.columns.filter((_, index) => isShown[index]),
      outputs: model.output,
      profile: served.profile,
    },
    positions: [...isShown.keys()].filter((index) => isShown[index]),
  };
  known.set(served, facts);
  return facts;
}

function answersOf(model: ModelMeta, predictions: readonly PredictionRow[]): (row: number, output: number) => Value {
  return (row, output) => predictions[row]![model.output[output]!.name]!;
}

/** Of a matrix, in which NaN is null. */
function numbersOf(matrix: NumberMatrix, width: number): (row: number, column: number) => Value {
  return (row, column) => {
    const number = matrix[row * width + column]!;
    return Number.isFinite(number) ? number : null;
  };
}
