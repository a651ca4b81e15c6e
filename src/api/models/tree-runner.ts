import type { Value } from "../../definitions/value.ts";
import { featureNumber } from "./feature-number.ts";
import {
  type AnswerMatrix,
  bindColumns,
  type ModelAnswer,
  type ModelColumn,
  type ModelRunner,
  type NumberMatrix,
  type PreparedModel,
  refuseClosed,
} from "./model-runner.ts";

/** Turns the `width` values that a model gives for a row, from `start`, into its answer. */
export type ToAnswer = (outputs: ArrayLike<number>, start: number, width: number) => ModelAnswer;

/** A tree model of either library, float32 or double. */
export interface TreeModel<Matrix extends Float32Array | Float64Array> {
  readonly featureCount: number;
  readonly outputWidth: number;
  readonly sizeBytes: number;
  readonly predictRow: (row: Matrix) => number[];
  readonly predictBatch: (matrix: Matrix, rows: number, cols: number) => Matrix;
}

export interface TreeRunnerOptions<Matrix extends Float32Array | Float64Array> {
  readonly flavor: string;
  readonly model: TreeModel<Matrix>;
  readonly newMatrix: (size: number) => Matrix;
  /** The numbers in the model's own precision, without a copy where they are. */
  readonly asMatrix: (numbers: NumberMatrix) => Matrix;
  /** Null when nothing names the features: columns are then taken in their order. */
  readonly inputs: readonly ModelColumn[] | null;
  readonly outputs: readonly ModelColumn[];
  /** For each feature the categories that its codes stand for, null for others. */
  readonly categories: readonly (readonly (string | number)[] | null)[] | null;
  readonly toAnswer: ToAnswer;
}

/** One value as it is, several as a list. */
export const answerOf: ToAnswer = (outputs, start, width) => {
  if (width === 1) return outputs[start]!;
  const answer: number[] = new Array(width);
  for (let i = 0; i < width; i++) answer[i] = outputs[start + i]!;
  return answer;
};

/**
 * A runner for a tree model that is evaluated here. Prediction is synchronous; `predict` only wraps it.
 *
 * A text (or number) given for a feature that has categories is looked up among them; one that training did not know
 * counts as missing.
 *
 * @throws SIGNATURE_MISMATCH
 */
export function treeRunner<Matrix extends Float32Array | Float64Array>(
  options: TreeRunnerOptions<Matrix>,
): ModelRunner {
  const { flavor, model, newMatrix, asMatrix, inputs, outputs, categories, toAnswer } = options;
  const { featureCount, outputWidth } = model;
  const names = inputs?.map((input) => input.name) ?? Array.from({ length: featureCount }, (_, f) => `feature ${f}`);
  const codes = Array.from({ length: featureCount }, (_, f) => codesOf(categories?.[f] ?? null));
  let isClosed = false;

  function prepare(columns: readonly string[]): PreparedModel {
    const positions = bindColumns(inputs, featureCount, columns);
    const row = newMatrix(featureCount);
    const isSameOrder = columns.length === featureCount && positions.every((position, f) => position === f);

    function fill(values: readonly Value[], into: Matrix, start: number): void {
      for (let f = 0; f < featureCount; f++) {
        const value = values[positions[f]!];
        const byCategory = codes[f]!;
        if (byCategory === null) {
          into[start + f] = typeof value === "number" ? value : featureNumber(value, names[f]!);
        } else {
          into[start + f] = byCategory.get(typeof value === "bigint" ? Number(value) : value) ?? Number.NaN;
        }
      }
    }

    function predictRow(values: readonly Value[]): ModelAnswer {
      if (isClosed) refuseClosed();
      fill(values, row, 0);
      return toAnswer(model.predictRow(row), 0, outputWidth);
    }

    async function predict(rows: readonly (readonly Value[])[]): Promise<readonly ModelAnswer[]> {
      if (isClosed) refuseClosed();
      if (rows.length < 4) return rows.map(predictRow);
      const matrix = newMatrix(rows.length * featureCount);
      for (const [i, values] of rows.entries()) fill(values, matrix, i * featureCount);
      const results = model.predictBatch(matrix, rows.length, featureCount);
      const answers: ModelAnswer[] = new Array(rows.length);
      for (let i = 0; i < rows.length; i++) answers[i] = toAnswer(results, i * outputWidth, outputWidth);
      return answers;
    }

    function predictMatrix(matrix: NumberMatrix, rows: number): AnswerMatrix {
      if (isClosed) refuseClosed();
      const features = isSameOrder ? asMatrix(matrix) : reorder(matrix, rows);
      const values = model.predictBatch(features, rows, featureCount);
      if (toAnswer === answerOf) return { values, width: outputWidth };
      const labels = new Float32Array(rows);
      for (let r = 0; r < rows; r++) labels[r] = toAnswer(values, r * outputWidth, outputWidth) as number;
      return { values: labels, width: 1 };
    }

    function reorder(matrix: NumberMatrix, rows: number): Matrix {
      const features = newMatrix(rows * featureCount);
      for (let r = 0, i = 0; r < rows; r++) {
        const start = r * columns.length;
        for (let f = 0; f < featureCount; f++, i++) {
          features[i] = positions[f]! < 0 ? Number.NaN : matrix[start + positions[f]!]!;
        }
      }
      return features;
    }

    // A feature trained as a category takes texts too, which no array of numbers holds.
    return codes.every((byCategory) => byCategory === null)
      ? { predictRow, predict, predictMatrix }
      : { predictRow, predict };
  }

  return {
    flavor,
    inputs,
    outputs,
    sizeBytes: model.sizeBytes,
    prepare,
    predict: async (batch) => prepare(batch.columns).predict(batch.rows),
    close: async () => {
      isClosed = true;
    },
  };
}

function codesOf(categories: readonly (string | number)[] | null): ReadonlyMap<unknown, number> | null {
  return categories === null ? null : new Map(categories.map((category, code) => [category, code]));
}

/** `prediction`, or for several values `prediction_0` and on. */
export function numberedColumns(name: string, width: number, type: "float" | "double"): readonly ModelColumn[] {
  if (width === 1) return [{ name, type, required: true }];
  return Array.from({ length: width }, (_, i) => ({ name: `${name}_${i}`, type, required: true }));
}
