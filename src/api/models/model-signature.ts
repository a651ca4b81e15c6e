import { asArray, asObject, asText, field } from "./model-document.ts";
import { corruptModel } from "./model-errors.ts";
import type { ModelColumn } from "./model-runner.ts";

/** One tensor of a tensor-based signature. */
export interface SignatureTensor {
  readonly name: string | null;
  /** A NumPy type: `float32`, `int64`, … */
  readonly type: string;
  /** −1 is a dimension of any size; the first is the rows. */
  readonly shape: readonly number[];
}

/** The inputs or the outputs of a signature: columns by name, or tensors. */
export type SignatureSide =
  | {
      readonly kind: "columns";
      readonly columns: readonly (Omit<ModelColumn, "name"> & { readonly name: string | null })[];
    }
  | { readonly kind: "tensors"; readonly tensors: readonly SignatureTensor[] };

/** An MLflow model signature. */
export interface ModelSignature {
  readonly inputs: SignatureSide | null;
  readonly outputs: SignatureSide | null;
}

/**
 * Reads the `signature` of an `MLmodel` file, whose `inputs` and `outputs` are JSON texts inside the YAML.
 *
 * @throws MODEL_CORRUPT
 * @see https://mlflow.org/docs/latest/ml/model/signatures/
 */
export function readSignature(value: unknown): ModelSignature | null {
  if (value === undefined || value === null) return null;
  const signature = asObject(value, "signature");
  return {
    inputs: readSide(field(signature, "inputs"), "inputs"),
    outputs: readSide(field(signature, "outputs"), "outputs"),
  };
}

function readSide(value: unknown, side: string): SignatureSide | null {
  if (value === undefined || value === null) return null;
  const place = `signature.${side}`;
  let parsed: unknown;
  try {
    parsed = JSON.parse(asText(value, place));
  } catch (cause) {
    throw corruptModel(`${place} is not JSON`, { cause });
  }
  const items = Array.from(asArray(parsed, place), (item) => asObject(item, place));
  if (items.length === 0) return null;
  if (items.some((item) => field(item, "type") === "tensor")) {
    const tensors = items.map((item) => {
      const spec = asObject(field(item, "tensor-spec"), `${place}.tensor-spec`);
      const shape = Array.from(asArray(field(spec, "shape"), `${place}.shape`), Number);
      return { name: readName(field(item, "name")), type: asText(field(spec, "dtype"), `${place}.dtype`), shape };
    });
    return { kind: "tensors", tensors };
  }
  const columns = items.map((item) => ({
    name: readName(field(item, "name")),
    type: asText(field(item, "type"), `${place}.type`),
    // Signatures of MLflow before 2.6 say `optional` or nothing.
    required: field(item, "required") !== false && field(item, "optional") !== true,
  }));
  return { kind: "columns", columns };
}

function readName(name: unknown): string | null {
  return typeof name === "string" ? name : typeof name === "number" ? String(name) : null;
}

/** The inputs as named columns; null when the signature has none, or has tensors or unnamed columns. */
export function signatureColumns(side: SignatureSide | null): readonly ModelColumn[] | null {
  if (side?.kind !== "columns") return null;
  const columns = side.columns.flatMap(({ name, type, required }) => (name === null ? [] : [{ name, type, required }]));
  return columns.length === side.columns.length ? columns : null;
}

const INTEGER_TYPES: ReadonlySet<string> = new Set([
  "integer",
  "long",
  "int8",
  "int16",
  "int32",
  "int64",
  "uint8",
  "bool",
  "boolean",
]);

/** True when every value on that side is a whole number, as labels are and probabilities are not. */
export function isIntegral(side: SignatureSide | null): boolean {
  if (side === null) return false;
  const items = side.kind === "columns" ? side.columns : side.tensors;
  return items.every((item) => INTEGER_TYPES.has(item.type));
}
