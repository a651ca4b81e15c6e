import { setImmediate as nextTurn } from "node:timers/promises";
import type { ModelMeta } from "../../definitions/model.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { inferenceModel } from "./inference-model.ts";
import type { InferencePool } from "./inference-pool.ts";
import { modelError } from "./model-errors.ts";
import type { PredictionRow } from "./model-output.ts";
import type { AnswerMatrix, ModelAnswer, NumberMatrix } from "./model-runner.ts";
import type { LargeBatch, PredictStages } from "./predict-rows.ts";
import type { ServedModel } from "./served-model.ts";
import { wholeKind, wholeValue } from "./whole-value.ts";

/** Rows with the columns of the model's service, in their order: as numbers (NaN is null) or as values. */
export type WholeRows =
  | { readonly kind: "matrix"; readonly count: number; readonly matrix: NumberMatrix }
  | { readonly kind: "rows"; readonly count: number; readonly rows: readonly (readonly Value[])[] };

/** Answers in the rows' order. Those of a matrix are the declared output columns, all float64; not finite is null. */
export type WholeAnswers =
  | { readonly kind: "matrix"; readonly answers: AnswerMatrix }
  | { readonly kind: "rows"; readonly rows: readonly PredictionRow[] };

/** Rows that the calling thread predicts at once: about two milliseconds of a hundred trees. */
const MATRIX_ROWS = 1_024;
const CHUNK_ROWS = 64;

/** Predicts rows that need no look-up. Between parts of a large batch other requests are served. */
export async function predictWhole(
  served: ServedModel,
  model: ModelMeta,
  pool: InferencePool,
  large: LargeBatch,
  rows: WholeRows,
  stages: PredictStages,
): Promise<WholeAnswers> {
  const started = performance.now();
  const { predictMatrix } = served.prepared;
  const answers =
    rows.kind === "matrix" && predictMatrix !== undefined
      ? namedAnswers(served, model, await runMatrix(predictMatrix, rows.matrix, rows.count))
      : await runRows(
          served,
          pool,
          large,
          rows.kind === "rows" ? rows.rows : matrixRows(served, rows.matrix, rows.count),
        );
  stages.model = (performance.now() - started) / 1_000;
  return answers;
}

async function runMatrix(
  predict: (matrix: NumberMatrix, rows: number) => AnswerMatrix,
  matrix: NumberMatrix,
  count: number,
): Promise<AnswerMatrix> {
  if (count <= MATRIX_ROWS) return predict(matrix, count);
  const width = matrix.length / count;
  let all: NumberMatrix | null = null;
  let answerWidth = 0;
  for (let from = 0; from < count; from += MATRIX_ROWS) {
    if (from > 0) await nextTurn();
    const rows = Math.min(MATRIX_ROWS, count - from);
    const { values, width: outputs } = predict(matrix.subarray(from * width, (from + rows) * width), rows);
    all ??= values instanceof Float32Array ? new Float32Array(count * outputs) : new Float64Array(count * outputs);
    all.set(values, from * outputs);
    answerWidth = outputs;
  }
  return { values: all!, width: answerWidth };
}

/** Stays a matrix where the declared output is as many doubles as the model answers. */
function namedAnswers({ toPrediction }: ServedModel, model: ModelMeta, answers: AnswerMatrix): WholeAnswers {
  const { values, width } = answers;
  if (width === model.output.length && model.output.every(({ type }) => type.kind === "float64")) {
    return { kind: "matrix", answers };
  }
  const rows: PredictionRow[] = [];
  for (let at = 0; at < values.length; at += width) {
    rows.push(toPrediction(width === 1 ? values[at]! : Array.from(values.subarray(at, at + width))));
  }
  return { kind: "rows", rows };
}

async function runRows(
  served: ServedModel,
  pool: InferencePool,
  large: LargeBatch,
  rows: readonly (readonly Value[])[],
): Promise<WholeAnswers> {
  const { prepared, toPrediction } = served;
  const inThread = rows.length < (served.loaded.flavor === "onnx" ? large.onnx : large.others);
  if (inThread && rows.length === 1 && prepared.predictRow !== null) {
    return { kind: "rows", rows: [toPrediction(prepared.predictRow(rows[0]!))] };
  }
  if (inThread) {
    const answers: PredictionRow[] = [];
    for (let from = 0; from < rows.length; from += CHUNK_ROWS) {
      if (from > 0) await nextTurn();
      for (const answer of await prepared.predict(rows.slice(from, from + CHUNK_ROWS)))
        answers.push(toPrediction(answer));
    }
    return { kind: "rows", rows: answers };
  }
  return { kind: "rows", rows: (await predictAway(served, pool, rows)).map(toPrediction) };
}

async function predictAway(
  served: ServedModel,
  pool: InferencePool,
  rows: readonly (readonly Value[])[],
): Promise<readonly ModelAnswer[]> {
  const model = inferenceModel(served);
  if (model === null) return served.prepared.predict(rows);
  try {
    return await pool.predict(model, rows);
  } catch (error) {
    // The folder went or changed since: the model in memory is still the version that answers.
    if (error instanceof Error && "code" in error && String(error.code).startsWith("MODEL_")) {
      if (error.code !== "MODEL_INPUT_INVALID") return served.prepared.predict(rows);
    }
    throw error;
  }
}

/** The numbers as values of the columns' types. @throws `MODEL_INPUT_INVALID` */
function matrixRows({ columns }: ServedModel, matrix: NumberMatrix, count: number): Value[][] {
  const width = columns.length;
  return Array.from({ length: count }, (_, r) => {
    const row = new Array<Value>(width);
    for (let c = 0; c < width; c++) {
      const raw = matrix[r * width + c]!;
      // NaN is missing, whatever the column: an array of floats has no other way to say so.
      const value = Number.isNaN(raw) ? null : wholeValue(raw, columns[c]!.type);
      if (value === undefined) throw unfit(r, columns[c]!.name, columns[c]!.type, raw);
      row[c] = value;
    }
    return row;
  });
}

function unfit(row: number, name: string, type: ColumnTypeSpec, raw: number): Error {
  return modelError("MODEL_INPUT_INVALID", `Row ${row}: ${name} must be ${wholeKind(type)}, not ${raw}.`, {
    details: { row, input: name },
  });
}
