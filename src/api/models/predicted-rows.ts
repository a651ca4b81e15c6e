import type { ModelMeta } from "../../definitions/model.ts";
import type { Value } from "../../definitions/value.ts";
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
  return {
    ...factsOf(model, served),
    rows: rows.length,
    feature: (row, column) => rows[row]![column]!,
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
  return {
    ...factsOf(model, served),
    rows: rows.count,
    feature:
      rows.kind === "rows" ? (row, column) => rows.rows[row]![column]! : numbersOf(rows.matrix, served.columns.length),
    answer:
      answers.kind === "rows"
        ? answersOf(model, answers.rows)
        : numbersOf(answers.answers.values, answers.answers.width),
  };
}

function factsOf(
  model: ModelMeta,
  { version, columns, profile }: ServedModel,
): Pick<PredictedRowsEvent, "model" | "version" | "service" | "columns" | "outputs" | "profile"> {
  return {
    model: model.name,
    version: version.version,
    service: model.service.name,
    columns,
    outputs: model.output,
    profile,
  };
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
