import type { ModelMeta } from "../../definitions/model.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { modelError } from "./model-errors.ts";
import type { ModelAnswer } from "./model-runner.ts";

/** One row's answer, by the model's declared output columns. */
export type PredictionRow = Readonly<Record<string, Value>>;

/**
 * Maps answers to the declared output columns, by position. Numbers that are not finite become null; a `bool` is read
 * from 0 and 1; a `one_of` from its text or from the index of a class.
 *
 * @throws from the function: `MODEL_OUTPUT_MISMATCH`
 */
export function compileOutput(model: ModelMeta): (answer: ModelAnswer) => PredictionRow {
  const { output } = model;
  const only = output.length === 1 ? output[0]! : null;
  if (only !== null && only.type.kind === "float64") {
    const { name } = only;
    return (answer) => {
      const value = typeof answer === "object" && answer.length === 1 ? answer[0] : answer;
      if (typeof value !== "number") throw mismatch(model, answer, name);
      return { [name]: Number.isFinite(value) ? value + 0 : null };
    };
  }
  return (answer) => {
    const values = typeof answer === "object" ? answer : [answer];
    if (values.length !== output.length) throw mismatch(model, answer, null);
    const row: Record<string, Value> = {};
    for (let i = 0; i < output.length; i++) {
      const { name, type } = output[i]!;
      const value = outputValue(values[i]!, type);
      if (value === undefined) throw mismatch(model, answer, name);
      row[name] = value;
    }
    return row;
  };
}

function outputValue(value: number | string, type: ColumnTypeSpec): Value | undefined {
  if (typeof value === "number" && !Number.isFinite(value)) return null;
  switch (type.kind) {
    case "float64":
      return typeof value === "number" ? value + 0 : undefined;
    case "int32":
    case "timestamp":
      return typeof value === "number" && Number.isInteger(value) ? value + 0 : undefined;
    case "int64":
      return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : undefined;
    case "bool":
      return value === 0 || value === 1 ? value === 1 : undefined;
    case "string":
      return String(value);
    case "one_of":
      return typeof value === "number" ? type.values?.[value] : type.values?.includes(value) ? value : undefined;
    case "list":
      return undefined;
  }
}

function mismatch(model: ModelMeta, answer: ModelAnswer, column: string | null): Error {
  const declared = model.output.map(({ name, type }) => `${name}: ${type.kind}`).join(", ");
  const given = typeof answer === "object" ? `${answer.length} values` : `a ${typeof answer}`;
  const where = column === null ? "" : `, which does not fit '${column}'`;
  return modelError(
    "MODEL_OUTPUT_MISMATCH",
    `Model '${model.name}' declares the output { ${declared} }; its file answers ${given} per row${where}. Declare one column for each value that the model answers, in order.`,
    { details: { model: model.name, declared: model.output.map(({ name }) => name), given } },
  );
}
