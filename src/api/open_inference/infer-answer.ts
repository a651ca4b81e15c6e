import type { ModelMeta } from "../../definitions/model.ts";
import type { ColumnKind, Value } from "../../definitions/value.ts";
import { invalidRequest } from "../api-errors.ts";
import { modelError } from "../models/model-errors.ts";
import type { WholeAnswers } from "../models/predict-whole.ts";
import { type Datatype, NUMBER_TYPES, type NumberDatatype, writeBytesElements } from "./datatypes.ts";
import type { InferRequest } from "./infer-request.ts";

/** The datatype that a column's values have in tensors: timestamps are epoch milliseconds. */
export function datatypeOf(kind: ColumnKind): Datatype {
  switch (kind) {
    case "float64":
      return "FP64";
    case "int32":
      return "INT32";
    case "int64":
    case "timestamp":
      return "INT64";
    case "bool":
      return "BOOL";
    default:
      return "BYTES";
  }
}

export interface InferAnswer {
  readonly body: Buffer | string;
  /** Bytes of JSON before the binary tensors; null if all is JSON. */
  readonly headerLength: number | null;
}

/** Writes the answer to an inference request: the declared output columns as tensors of shape [rows, 1]. */
export function inferAnswer(
  model: ModelMeta,
  version: string | null,
  count: number,
  answers: WholeAnswers,
  request: InferRequest,
  parameters: Readonly<Record<string, unknown>>,
): InferAnswer {
  const outputs = request.outputs ?? model.output.map(({ name }) => ({ name, isBinary: null }));
  const binary: Buffer[] = [];
  const tensors = outputs.map(({ name, isBinary }, i) => {
    const column = model.output.findIndex((output) => output.name === name);
    if (column < 0) {
      throw invalidRequest(`outputs[${i}].name`, `one of ${model.output.map((output) => output.name).join(", ")}`);
    }
    const datatype = datatypeOf(model.output[column]!.type.kind);
    const codec = request.usesCodecs ? { content_type: datatype === "BYTES" ? "str" : "np" } : {};
    const head = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${count},1]`;
    if (isBinary ?? request.isBinaryDefault) {
      const bytes = binaryColumn(model, answers, column, count, datatype);
      binary.push(bytes);
      return `${head},"parameters":${JSON.stringify({ ...codec, binary_data_size: bytes.length })}}`;
    }
    const shown = request.usesCodecs ? `,"parameters":${JSON.stringify(codec)}` : "";
    return `${head}${shown},"data":[${jsonColumn(answers, model.output[column]!.name, column, count)}]}`;
  });
  const id = request.id === null ? "" : `"id":${JSON.stringify(request.id)},`;
  const all = request.parameters.content_type === undefined ? parameters : { ...parameters, content_type: "pd" };
  const shown = Object.keys(all).length === 0 ? "" : `"parameters":${JSON.stringify(all)},`;
  const json = `{"model_name":${JSON.stringify(model.name)},"model_version":${JSON.stringify(version ?? "")},${id}${shown}"outputs":[${tensors.join(",")}]}`;
  if (binary.length === 0) return { body: json, headerLength: null };
  const header = Buffer.from(json);
  return { body: Buffer.concat([header, ...binary]), headerLength: header.length };
}

function jsonColumn(answers: WholeAnswers, name: string, column: number, count: number): string {
  const texts = new Array<string>(count);
  if (answers.kind === "matrix") {
    const { values, width } = answers.answers;
    for (let r = 0; r < count; r++) {
      const value = values[r * width + column]!;
      texts[r] = Number.isFinite(value) ? String(value + 0) : "null";
    }
  } else {
    for (let r = 0; r < count; r++) {
      const value = answers.rows[r]![name]!;
      texts[r] = typeof value === "bigint" ? String(value) : JSON.stringify(value);
    }
  }
  return texts.join(",");
}

function binaryColumn(
  model: ModelMeta,
  answers: WholeAnswers,
  column: number,
  count: number,
  datatype: Datatype,
): Buffer {
  const { name } = model.output[column]!;
  if (answers.kind === "matrix") {
    const { values, width } = answers.answers;
    const numbers = new Float64Array(count);
    for (let r = 0; r < count; r++) {
      const value = values[r * width + column]!;
      numbers[r] = Number.isFinite(value) ? value + 0 : Number.NaN;
    }
    return Buffer.from(numbers.buffer);
  }
  if (datatype === "BYTES") {
    return writeBytesElements(answers.rows.map((row) => (typeof row[name] === "string" ? row[name] : "")));
  }
  const numbers = NUMBER_TYPES[datatype as NumberDatatype].make(count);
  const isWide = numbers instanceof BigInt64Array;
  for (let r = 0; r < count; r++) {
    const value = numberOf(answers.rows[r]![name]!, datatype, model, name);
    numbers[r] = isWide ? BigInt(value as number) : Number(value);
  }
  return Buffer.from(numbers.buffer);
}

/** Whole numbers have no value for null in binary. */
function numberOf(value: Value, datatype: Datatype, model: ModelMeta, name: string): Value {
  if (value !== null) return value;
  if (datatype === "FP64") return Number.NaN;
  throw modelError(
    "MODEL_OUTPUT_MISMATCH",
    `Model '${model.name}' answered null for '${name}', which a binary tensor of ${datatype} cannot hold: ask for JSON.`,
  );
}
