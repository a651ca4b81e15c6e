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
import { loadXgboostModel, type XgboostModel } from "./xgboost-model.ts";
import { argMax } from "./xgboost-objectives.ts";

export interface XgboostRunnerOptions {
  /** Names and types of the inputs where the signature gives them; the file's own feature names order them. */
  readonly inputs?: readonly ModelColumn[] | null;
  /** See `XgboostModelOptions`. Default `all`. */
  readonly iterations?: "all" | "best";
  /**
   * `transformed` (default) and `margin` as in `XgboostModelOptions`. `label`: what `XGBClassifier.predict` gives, 1 for
   * a probability above 0.5, or the most probable class, from 0.
   */
  readonly output?: "transformed" | "margin" | "label";
}

/**
 * A runner for an XGBoost model's native file. Prediction is synchronous; `predict` only wraps it.
 *
 * A text (or number) given for a feature that was trained as a data frame's category is looked up among the categories
 * that the file records (XGBoost 3.1 and later); one that training did not know counts as missing.
 *
 * @throws MODEL_CORRUPT, MODEL_UNSUPPORTED, MODEL_TOO_LARGE, SIGNATURE_MISMATCH
 */
export function xgboostRunner(
  bytes: Uint8Array,
  options: XgboostRunnerOptions = {},
): ModelRunner & { readonly model: XgboostModel } {
  const kind = options.output ?? "transformed";
  const model = loadXgboostModel(bytes, {
    iterations: options.iterations ?? "all",
    output: kind === "margin" ? "margin" : "transformed",
  });
  const { featureCount, featureCategories } = model;
  const inputs = nameInputs(model, options.inputs ?? null);
  const names = inputs?.map((input) => input.name) ?? Array.from({ length: featureCount }, (_, f) => `feature ${f}`);
  const codes = Array.from({ length: featureCount }, (_, f) => codesOf(featureCategories?.[f] ?? null));
  const toAnswer = kind === "label" ? labelOf(model) : answerOf;
  let isClosed = false;

  function prepare(columns: readonly string[]): PreparedModel {
    const positions = bindColumns(inputs, featureCount, columns);
    const row = new Float32Array(featureCount);
    const isSameOrder = columns.length === featureCount && positions.every((position, f) => position === f);

    function fill(values: readonly Value[], into: Float32Array, start: number): void {
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
      return toAnswer(model.predictRow(row), 0, model.outputWidth);
    }

    async function predict(rows: readonly (readonly Value[])[]): Promise<readonly ModelAnswer[]> {
      if (isClosed) refuseClosed();
      if (rows.length < 4) return rows.map(predictRow);
      const matrix = new Float32Array(rows.length * featureCount);
      for (const [i, values] of rows.entries()) fill(values, matrix, i * featureCount);
      const outputs = model.predictBatch(matrix, rows.length, featureCount);
      const answers: ModelAnswer[] = new Array(rows.length);
      for (let i = 0; i < rows.length; i++) answers[i] = toAnswer(outputs, i * model.outputWidth, model.outputWidth);
      return answers;
    }

    function predictMatrix(matrix: NumberMatrix, rows: number): AnswerMatrix {
      if (isClosed) refuseClosed();
      let features: Float32Array;
      if (isSameOrder) {
        features = matrix instanceof Float32Array ? matrix : Float32Array.from(matrix);
      } else {
        features = new Float32Array(rows * featureCount);
        for (let r = 0, i = 0; r < rows; r++) {
          const start = r * columns.length;
          for (let f = 0; f < featureCount; f++, i++) {
            features[i] = positions[f]! < 0 ? Number.NaN : matrix[start + positions[f]!]!;
          }
        }
      }
      const values = model.predictBatch(features, rows, featureCount);
      if (kind !== "label") return { values, width: model.outputWidth };
      const labels = new Float32Array(rows);
      for (let r = 0; r < rows; r++) labels[r] = toAnswer(values, r * model.outputWidth, model.outputWidth) as number;
      return { values: labels, width: 1 };
    }

    // A feature trained as a category takes texts too, which no array of numbers holds.
    return codes.every((byCategory) => byCategory === null)
      ? { predictRow, predict, predictMatrix }
      : { predictRow, predict };
  }

  return {
    flavor: "xgboost",
    inputs,
    outputs: outputColumns(model, kind),
    sizeBytes: model.sizeBytes,
    model,
    prepare,
    predict: async (batch) => prepare(batch.columns).predict(batch.rows),
    close: async () => {
      isClosed = true;
    },
  };
}

/** The file's feature names in their order, with the signature's types; the signature's own when the file has none. */
function nameInputs(model: XgboostModel, signature: readonly ModelColumn[] | null): readonly ModelColumn[] | null {
  if (model.featureNames === null) return signature?.length === model.featureCount ? signature : null;
  const declared = new Map(signature?.map((column) => [column.name, column]));
  return model.featureNames.map(
    (name, f) =>
      declared.get(name) ?? { name, type: model.featureTypes?.[f] === "c" ? "category" : "float", required: true },
  );
}

function codesOf(categories: readonly (string | number)[] | null): ReadonlyMap<unknown, number> | null {
  return categories === null ? null : new Map(categories.map((category, code) => [category, code]));
}

type ToAnswer = (outputs: ArrayLike<number>, start: number, width: number) => ModelAnswer;

const answerOf: ToAnswer = (outputs, start, width) => {
  if (width === 1) return outputs[start]!;
  const answer: number[] = new Array(width);
  for (let i = 0; i < width; i++) answer[i] = outputs[start + i]!;
  return answer;
};

function labelOf(model: XgboostModel): ToAnswer {
  if (model.objective === "multi:softprob") return argMax;
  if (model.objective === "binary:logistic") return (outputs, start) => (outputs[start]! > 0.5 ? 1 : 0);
  return answerOf;
}

function outputColumns(model: XgboostModel, kind: "transformed" | "margin" | "label"): readonly ModelColumn[] {
  if (kind === "label") return [{ name: "label", type: "long", required: true }];
  const isProbability = kind === "transformed" && ["binary:logistic", "multi:softprob"].includes(model.objective);
  const name = kind === "margin" ? "margin" : isProbability ? "probability" : "prediction";
  if (model.outputWidth === 1) return [{ name, type: "float", required: true }];
  return Array.from({ length: model.outputWidth }, (_, i) => ({ name: `${name}_${i}`, type: "float", required: true }));
}
