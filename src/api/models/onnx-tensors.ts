import type { Value } from "../../definitions/value.ts";
import { featureInteger, featureNumber, invalidInput } from "./feature-number.ts";
import { modelError } from "./model-errors.ts";

/** What ONNX Runtime takes as the data of a tensor. */
export type OnnxData =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | string[];

/** Reads the value of one cell: row `row` of the column that feeds feature `feature`. */
export type ReadCell = (row: number, feature: number) => Value | undefined;

/**
 * The data of a tensor of `rows` × `names.length` cells, row after row. Only float tensors can hold a missing value.
 *
 * @throws MODEL_INPUT_INVALID for a value of another type, MODEL_UNSUPPORTED for a tensor type that is not known.
 */
export function tensorData(type: string, rows: number, names: readonly string[], read: ReadCell): OnnxData {
  const size = rows * names.length;
  const data = emptyData(type, size);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let f = 0; f < names.length; f++, i++) {
      const value = read(row, f);
      const name = names[f]!;
      if (data instanceof Float32Array || data instanceof Float64Array) data[i] = featureNumber(value, name);
      else if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = featureInteger(value, name);
      else if (!Array.isArray(data)) data[i] = wholeNumber(type, value, name);
      else if (typeof value === "string") data[i] = value;
      else throw invalidInput(value, name, "a text");
    }
  }
  return data;
}

const INTEGER_RANGES: Readonly<Record<string, readonly [number, number]>> = {
  bool: [0, 1],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
};

function wholeNumber(type: string, value: Value | undefined, name: string): number {
  const number = Number(featureInteger(value, name));
  const [min, max] = INTEGER_RANGES[type]!;
  if (number < min || number > max) throw invalidInput(value, name, `a whole number from ${min} to ${max}`);
  return number;
}

function emptyData(type: string, size: number): OnnxData {
  switch (type) {
    case "float32":
      return new Float32Array(size);
    case "float64":
      return new Float64Array(size);
    case "int64":
      return new BigInt64Array(size);
    case "uint64":
      return new BigUint64Array(size);
    case "int32":
      return new Int32Array(size);
    case "uint32":
      return new Uint32Array(size);
    case "int16":
      return new Int16Array(size);
    case "uint16":
      return new Uint16Array(size);
    case "int8":
      return new Int8Array(size);
    case "uint8":
    case "bool":
      return new Uint8Array(size);
    case "string":
      return new Array<string>(size).fill("");
    default:
      throw modelError(
        "MODEL_UNSUPPORTED",
        `The ONNX model has an input of type ${type}, which cannot be filled from a row. Export it with float, double, integer, bool or string inputs.`,
      );
  }
}
