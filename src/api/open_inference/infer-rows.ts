import type { Value } from "../../definitions/value.ts";
import type { ServiceColumn } from "../../feature_engineering/plan/service-columns.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import { apiError, invalidRequest } from "../api-errors.ts";
import type { NumberMatrix } from "../models/model-runner.ts";
import type { WholeRows } from "../models/predict-whole.ts";
import { isNumeric, wholeKind, wholeValue } from "../models/whole-value.ts";
import { readChoice } from "../request-body.ts";
import { ROW_FORMS, rowForm } from "../row-form.ts";
import type { InferRequest, InputTensor } from "./infer-request.ts";

/** The rows of a request: with all that the model reads, or to be looked up. */
export type InferRows =
  | { readonly form: "features"; readonly rows: WholeRows }
  | { readonly form: "keys"; readonly lookups: readonly Readonly<Record<string, unknown>>[] };

/**
 * The rows that a request's tensors are: one tensor of shape [rows, columns] with the model's columns in their order, or
 * one tensor of shape [rows] or [rows, 1] per column, by name.
 * @throws `REQUEST_INVALID`, `TOO_MANY_ROWS`, `ROWS_INCOMPLETE`, `ROWS_AMBIGUOUS`
 */
export function inferRows(runtime: ServiceRuntime, request: InferRequest, maxRows: number): InferRows {
  const { inputs, parameters } = request;
  const { columns } = runtime.row;
  const asked = parameters.rows === undefined ? null : readChoice(parameters.rows, "parameters.rows", ROW_FORMS);
  const count = inputs[0]!.shape[0]!;
  if (count === 0) throw invalidRequest(`inputs[0] (${inputs[0]!.name}).shape`, "of at least one row");
  if (count > maxRows) {
    throw apiError(
      "TOO_MANY_ROWS",
      `The tensors have ${count} rows, at most ${maxRows} may come at once: split them.`,
      {
        details: { rows: count, max_rows: maxRows },
      },
    );
  }
  const known = new Set([...columns, ...runtime.service.lookup].map(({ name }) => name));
  const only = inputs.length === 1 ? inputs[0]! : null;
  if (only !== null && asked !== "keys" && (!known.has(only.name) || isTable(only))) {
    checkTable(only, columns);
    return { form: "features", rows: tableRows(only, columns, count) };
  }
  for (const [i, tensor] of inputs.entries()) {
    const path = `inputs[${i}] (${tensor.name})`;
    if (!known.has(tensor.name)) {
      throw invalidRequest(
        path,
        `named as a column: ${[...known].slice(0, 50).join(", ")}; or send one tensor of shape [rows, ${columns.length}]`,
      );
    }
    const { shape } = tensor;
    if (shape.length > 2 || (shape.length === 2 && shape[1] !== 1) || shape[0] !== count) {
      throw invalidRequest(`${path}.shape`, `[${count}] or [${count}, 1], not [${shape.join(", ")}]`);
    }
  }
  const byName = new Map(inputs.map((tensor) => [tensor.name, tensor]));
  const form = rowForm(runtime, new Set(byName.keys()), asked);
  const names = (form === "keys" ? runtime.service.lookup : columns).map(({ name }) => name);
  const unused = inputs.find(({ name }) => !names.includes(name));
  if (unused !== undefined) {
    const what = form === "keys" ? "looked up with the others: it would not be used" : "read by the model";
    throw invalidRequest("inputs", `without '${unused.name}', which is ${form === "keys" ? "" : "not "}${what}`);
  }
  if (form === "keys") return { form, lookups: lookupRows(runtime, byName, count) };
  return { form, rows: columnRows(columns, byName, count) };
}

function isTable({ shape }: InputTensor): boolean {
  return shape.length > 1 && shape[1]! > 1;
}

function checkTable({ name, shape }: InputTensor, columns: readonly ServiceColumn[]): void {
  if (shape.length === 2 && shape[1] === columns.length) return;
  throw invalidRequest(
    `inputs[0] (${name}).shape`,
    `[rows, ${columns.length}]: the model reads ${columns.length} columns (${columns
      .slice(0, 20)
      .map((column) => column.name)
      .join(", ")}${columns.length > 20 ? ", …" : ""}), not [${shape.join(", ")}]`,
  );
}

function tableRows({ name, data }: InputTensor, columns: readonly ServiceColumn[], count: number): WholeRows {
  const width = columns.length;
  if (!Array.isArray(data) && columns.every(({ type }) => isNumeric(type))) {
    const matrix = asMatrix(data as NumberMatrix);
    if (matrix !== null) return { kind: "matrix", count, matrix };
  }
  const rows = Array.from({ length: count }, (_, r) =>
    columns.map((column, c) => cell(data[r * width + c], column, `inputs[0] (${name}).data[${r * width + c}]`)),
  );
  return { kind: "rows", count, rows };
}

function columnRows(
  columns: readonly ServiceColumn[],
  tensors: ReadonlyMap<string, InputTensor>,
  count: number,
): WholeRows {
  const datas = columns.map(({ name }) => tensors.get(name)!.data);
  if (columns.every(({ type }) => isNumeric(type))) {
    const matrices = datas.map((data) => (Array.isArray(data) ? null : asMatrix(data as NumberMatrix)));
    if (matrices.every((matrix) => matrix !== null)) {
      const width = columns.length;
      const isSingle = matrices.every((matrix) => matrix instanceof Float32Array);
      const matrix = isSingle ? new Float32Array(count * width) : new Float64Array(count * width);
      for (const [c, values] of matrices.entries()) for (let r = 0; r < count; r++) matrix[r * width + c] = values[r]!;
      return { kind: "matrix", count, matrix };
    }
  }
  const rows = Array.from({ length: count }, (_, r) =>
    columns.map((column, c) => cell(datas[c]![r], column, `${column.name}[${r}]`)),
  );
  return { kind: "rows", count, rows };
}

function lookupRows(
  { service }: ServiceRuntime,
  tensors: ReadonlyMap<string, InputTensor>,
  count: number,
): Record<string, unknown>[] {
  const given = service.lookup.filter(({ name }) => tensors.has(name));
  return Array.from({ length: count }, (_, r) => {
    const lookup: Record<string, unknown> = {};
    for (const { name, type } of given) {
      const raw = tensors.get(name)!.data[r];
      // What does not fit goes on as it came: the look-up says what is wrong with it.
      const value = wholeValue(raw, type);
      lookup[name] = value === undefined ? raw : value;
    }
    return lookup;
  });
}

function cell(raw: unknown, { name, type }: ServiceColumn, path: string): Value {
  const value = Number.isNaN(raw) ? null : wholeValue(raw, type);
  if (value === undefined) throw invalidRequest(path, `${wholeKind(type)}, for '${name}'`);
  return value;
}

/** As floats in which NaN is missing; null for integers that a double does not hold. Infinite counts as missing. */
function asMatrix(data: Exclude<InputTensor["data"], readonly unknown[]>): NumberMatrix | null {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    const matrix = new Float64Array(data.length);
    for (let i = 0; i < data.length; i++) {
      const number = Number(data[i]);
      if (!Number.isSafeInteger(number)) return null;
      matrix[i] = number;
    }
    return matrix;
  }
  if (data instanceof Float32Array || data instanceof Float64Array) {
    for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i]!)) data[i] = Number.NaN;
    return data;
  }
  return data.BYTES_PER_ELEMENT > 2 ? new Float64Array(data) : new Float32Array(data);
}
