import type { Value } from "../../definitions/value.ts";
import { modelError } from "./model-errors.ts";

/** A named input or output of a model. */
export interface ModelColumn {
  readonly name: string;
  /** MLflow's names: `boolean`, `integer`, `long`, `float`, `double`, `string`, `binary`, `datetime`; or a tensor's type. */
  readonly type: string;
  /** A column that is not required may be left out and counts as missing. */
  readonly required: boolean;
}

/** Rows to predict for. Each row has one value per column, in the columns' order; null is a missing value. */
export interface ModelBatch {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Value[])[];
}

/** The answer for one row: one value, or a list where the model gives several (a probability per class). */
export type ModelAnswer = number | string | readonly (number | string)[];

/** A runner bound to an order of columns, so that a request does no look-up by name. */
export interface PreparedModel {
  /**
   * Predicts one row at once, on the calling thread; null for runners that cannot. Costs little more than the model
   * itself. The row has the values of the prepared columns in their order.
   */
  readonly predictRow: ((row: readonly Value[]) => ModelAnswer) | null;
  /** Predicts any number of rows; the answers are in the rows' order. */
  readonly predict: (rows: readonly (readonly Value[])[]) => Promise<readonly ModelAnswer[]>;
  /**
   * Predicts rows of numbers that stand one after another in one array, each with the values of the prepared columns in
   * their order, NaN where missing, at once and on the calling thread; absent for runners that cannot.
   */
  readonly predictMatrix?: (matrix: NumberMatrix, rows: number) => AnswerMatrix;
}

/** Rows of numbers, one after another. */
export type NumberMatrix = Float32Array | Float64Array;

/** The answers for rows in their order, `width` numbers each. */
export interface AnswerMatrix {
  readonly values: NumberMatrix;
  readonly width: number;
}

/**
 * A loaded model of any flavor.
 *
 * Values become model inputs thus: booleans 0 and 1, bigints numbers, null NaN (missing) where the input is a float.
 * Errors: SIGNATURE_MISMATCH (names the columns that are missing), MODEL_INPUT_INVALID (a value of a type that the
 * input cannot take), MODEL_RUN_FAILED, MODEL_CLOSED.
 */
export interface ModelRunner {
  readonly flavor: string;
  /** Null when neither the file nor a signature names the inputs: then columns are taken in their order. */
  readonly inputs: readonly ModelColumn[] | null;
  readonly outputs: readonly ModelColumn[];
  /** About the memory that the model holds. */
  readonly sizeBytes: number;
  /** Binds the model to an order of columns; columns that the model does not know are ignored. */
  readonly prepare: (columns: readonly string[]) => PreparedModel;
  /** `prepare` and `predict` in one; for a repeated order of columns prepare once instead. */
  readonly predict: (batch: ModelBatch) => Promise<readonly ModelAnswer[]>;
  /** Frees the model; later calls fail with MODEL_CLOSED. Closing twice is fine. */
  readonly close: () => Promise<void>;
}

/**
 * For each input of the model the position of its column, −1 for an optional one that is absent.
 *
 * `inputs` null: columns are positional and only their number (`inputCount`, null if unknown) is checked.
 *
 * @throws SIGNATURE_MISMATCH
 */
export function bindColumns(
  inputs: readonly ModelColumn[] | null,
  inputCount: number | null,
  columns: readonly string[],
): Int32Array {
  if (inputs === null) {
    if (inputCount !== null && columns.length !== inputCount) {
      throw modelError(
        "SIGNATURE_MISMATCH",
        `The model takes ${inputCount} unnamed features, ${columns.length} columns were given. Give exactly its features in training order, or log the model with a signature so that they have names.`,
        { details: { expected: inputCount, actual: columns.length } },
      );
    }
    return Int32Array.from(columns.keys());
  }
  const positions = new Map<string, number>();
  for (const [position, name] of columns.entries()) if (!positions.has(name)) positions.set(name, position);
  const missing = inputs.filter((input) => input.required && !positions.has(input.name)).map((input) => input.name);
  if (missing.length > 0) {
    throw modelError(
      "SIGNATURE_MISMATCH",
      `The model needs columns that were not given: ${missing.slice(0, 20).join(", ")}${missing.length > 20 ? ` and ${missing.length - 20} more` : ""}. Given were: ${columns.slice(0, 50).join(", ")}.`,
      { details: { missing, given: columns } },
    );
  }
  return Int32Array.from(inputs, (input) => positions.get(input.name) ?? -1);
}

/** Fails with MODEL_CLOSED. */
export function refuseClosed(): never {
  throw modelError(
    "MODEL_CLOSED",
    "The model was closed, perhaps because a newer version replaced it. Get the current one again.",
    {
      kind: "bug",
    },
  );
}
