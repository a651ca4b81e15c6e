import { apiError, invalidRequest } from "../api-errors.ts";
import { isObject, type JsonObject, parseBody } from "../request-body.ts";
import {
  DATATYPES,
  type Datatype,
  NUMBER_TYPES,
  type NumberData,
  type NumberDatatype,
  readBytesElements,
  readNumbers,
} from "./datatypes.ts";
import { type LiftedJson, liftNumbers } from "./lift-numbers.ts";

/** A tensor as it came: its elements in row-major order. */
export interface InputTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Texts of BYTES; null where JSON had it. */
  readonly data: NumberData | readonly (string | null)[];
}

export interface RequestedOutput {
  readonly name: string;
  /** Null: as the request says for all. */
  readonly isBinary: boolean | null;
}

export interface InferRequest {
  /** Null if none was given. */
  readonly id: string | null;
  readonly parameters: JsonObject;
  readonly inputs: readonly InputTensor[];
  /** Null: all. */
  readonly outputs: readonly RequestedOutput[] | null;
  readonly isBinaryDefault: boolean;
  /** A content type of MLServer's codecs was named, so answers name theirs. */
  readonly usesCodecs: boolean;
}

/** Of MLServer's codecs: all but `base64` change nothing about how tensors are read here. */
const CONTENT_TYPES = ["np", "pd", "str", "base64", "datetime"];
/** Elements of one tensor: more would not come within the limit of bodies. */
const MAX_ELEMENTS = 2 ** 31;

/**
 * Reads an inference request. `headerLength` is the Inference-Header-Content-Length: so many bytes of JSON, then the
 * tensors that have a `binary_data_size`, in their order. The body is not compressed any more.
 * @throws `BODY_MALFORMED`, `REQUEST_INVALID`, `NOT_SUPPORTED`
 */
export function readInferRequest(body: Buffer, headerLength: number | null): InferRequest {
  if (headerLength !== null && headerLength > body.length) {
    throw invalidRequest(
      "The header Inference-Header-Content-Length",
      `at most the body's ${body.length} bytes (after decompression), not ${headerLength}`,
    );
  }
  const json = body.subarray(0, headerLength ?? body.length);
  // Only integers of 64 bits have digits that a double cannot hold, and BYTES are no numbers.
  const isExact = json.includes("INT64");
  const lifted = isExact || json.includes("BYTES") ? null : liftNumbers(json);
  const request = readLifted(lifted) ?? parseWhole(json.toString(), isExact);
  if (!isObject(request)) throw invalidRequest("The body", "a JSON object with inputs");
  const { id, parameters = {}, inputs, outputs } = request;
  if (id !== undefined && id !== null && typeof id !== "string") throw invalidRequest("id", "a text");
  if (!isObject(parameters)) throw invalidRequest("parameters", "an object");
  if (!Array.isArray(inputs) || inputs.length === 0) throw invalidRequest("inputs", "a list of at least one tensor");
  const binary = { bytes: headerLength === null ? null : body.subarray(headerLength), at: 0 };
  let usesCodecs = checkContentType(parameters, "parameters");
  const tensors = inputs.map((input: unknown, i) => {
    const tensor = readInput(input, `inputs[${i}]`, binary, lifted?.lists ?? null);
    usesCodecs = tensor.usesCodecs || usesCodecs;
    return tensor.tensor;
  });
  if (new Set(tensors.map(({ name }) => name)).size < tensors.length) {
    throw invalidRequest("inputs", "tensors of different names");
  }
  if (binary.bytes !== null && binary.at < binary.bytes.length) {
    throw apiError(
      "REQUEST_INVALID",
      `${binary.bytes.length - binary.at} bytes follow the last binary tensor: the sizes in binary_data_size do not add up to what came after the header of ${headerLength} bytes.`,
    );
  }
  return {
    id: id ?? null,
    parameters,
    inputs: tensors,
    outputs: readOutputs(outputs),
    isBinaryDefault: parameters.binary_data_output === true,
    usesCodecs,
  };
}

/** Null for what is no JSON: what is wrong is told of the text as it came. */
function readLifted(lifted: LiftedJson | null): unknown {
  if (lifted === null) return null;
  try {
    return JSON.parse(lifted.text);
  } catch {
    return null;
  }
}

function parseWhole(text: string, isExact: boolean): unknown {
  if (isExact) return parseBody(text);
  try {
    return JSON.parse(text);
  } catch {
    return parseBody(text);
  }
}

interface BinaryPart {
  readonly bytes: Buffer | null;
  at: number;
}

function readInput(
  input: unknown,
  path: string,
  binary: BinaryPart,
  lists: LiftedJson["lists"] | null,
): { readonly tensor: InputTensor; readonly usesCodecs: boolean } {
  if (!isObject(input)) throw invalidRequest(path, "an object of name, shape, datatype and data");
  const { name, datatype, shape, parameters = {} } = input;
  const data = typeof input.data === "string" ? (lists?.get(input.data) ?? input.data) : input.data;
  if (typeof name !== "string" || name === "") throw invalidRequest(`${path}.name`, "a text");
  const place = `${path} (${name.slice(0, 100)})`;
  const type = DATATYPES.find((known) => known === datatype);
  if (type === undefined) throw invalidRequest(`${place}.datatype`, `one of ${DATATYPES.join(", ")}`);
  const count = countOf(shape, place);
  if (!isObject(parameters)) throw invalidRequest(`${place}.parameters`, "an object");
  const usesCodecs = checkContentType(parameters, `${place}.parameters`);
  if ("shared_memory_region" in parameters) {
    throw apiError(
      "NOT_SUPPORTED",
      `${place} is in shared memory, which a server elsewhere cannot read: send its data.`,
    );
  }
  const size = parameters.binary_data_size;
  let read: InputTensor["data"];
  if (size !== undefined) {
    if (data !== undefined) throw invalidRequest(`${place}.data`, "left out where binary_data_size is given");
    read = readBinary(type, count, size, place, binary);
  } else if (data instanceof Float64Array) {
    read = readJson(type, count, data, place);
  } else if (Array.isArray(data)) {
    read = readJson(type, count, data, place);
  } else {
    throw invalidRequest(`${place}.data`, "a list of values, unless binary_data_size is given");
  }
  if (parameters.content_type === "base64" && type === "BYTES") {
    read = (read as readonly (string | null)[]).map((one) => one && Buffer.from(one, "base64").toString("utf8"));
  }
  return { tensor: { name, datatype: type, shape: shape as readonly number[], data: read }, usesCodecs };
}

function countOf(shape: unknown, place: string): number {
  if (!Array.isArray(shape) || shape.length === 0) throw invalidRequest(`${place}.shape`, "a list of sizes");
  let count = 1;
  for (const size of shape as unknown[]) {
    if (typeof size !== "number" || !Number.isInteger(size) || size < 0 || size > MAX_ELEMENTS) {
      throw invalidRequest(`${place}.shape`, `a list of whole numbers, not [${String(shape).slice(0, 100)}]`);
    }
    count *= size;
  }
  if (count > MAX_ELEMENTS) throw invalidRequest(`${place}.shape`, "of fewer elements");
  return count;
}

function readBinary(
  type: Datatype,
  count: number,
  size: unknown,
  place: string,
  binary: BinaryPart,
): InputTensor["data"] {
  if (binary.bytes === null) {
    throw apiError(
      "REQUEST_INVALID",
      `${place} has binary_data_size, but the request has no header Inference-Header-Content-Length that says where its binary data begin.`,
    );
  }
  const left = binary.bytes.length - binary.at;
  if (typeof size !== "number" || !Number.isInteger(size) || size < 0 || size > left) {
    throw invalidRequest(`${place}.parameters.binary_data_size`, `a number of bytes up to the ${left} that are left`);
  }
  const bytes = binary.bytes.subarray(binary.at, binary.at + size);
  binary.at += size;
  if (type === "BYTES") {
    const elements = readBytesElements(bytes, count);
    if (elements !== null) return elements.map((element) => element.toString("utf8"));
    throw invalidRequest(
      `${place}.parameters.binary_data_size`,
      `that of ${count} elements, each with its length before it`,
    );
  }
  const expected = count * NUMBER_TYPES[type].bytes;
  if (size !== expected) {
    throw invalidRequest(
      `${place}.parameters.binary_data_size`,
      `${expected} for ${count} elements of ${type}, not ${size}`,
    );
  }
  const numbers = readNumbers(type, bytes);
  if (type === "BOOL") {
    for (const one of numbers as Uint8Array) if (one > 1) throw invalidRequest(place, `of bytes 0 and 1, not ${one}`);
  }
  return numbers;
}

/** The values of nested lists, or of one, in their order. */
function readJson(
  type: Datatype,
  count: number,
  data: readonly unknown[] | Float64Array,
  place: string,
): InputTensor["data"] {
  const values: ArrayLike<unknown> =
    Array.isArray(data) && data.some(Array.isArray) ? data.flat(Number.POSITIVE_INFINITY) : data;
  if (values.length !== count) {
    throw invalidRequest(`${place}.data`, `of the ${count} elements of its shape, not ${values.length}`);
  }
  if (type === "BYTES") {
    for (let i = 0; i < count; i++) {
      if (typeof values[i] !== "string" && values[i] !== null) throw invalidRequest(`${place}.data[${i}]`, "a text");
    }
    return values as unknown as readonly (string | null)[];
  }
  const { range, make } = NUMBER_TYPES[type];
  const numbers = make(count);
  if (range === null && values instanceof Float64Array) {
    (numbers as Float32Array | Float64Array).set(values);
    return numbers;
  }
  if (numbers instanceof BigInt64Array || numbers instanceof BigUint64Array) {
    for (let i = 0; i < count; i++) {
      const value = values[i];
      const whole = typeof value === "bigint" || Number.isSafeInteger(value) ? BigInt(value as number) : null;
      if (whole === null || whole < range![0] || whole > range![1]) throw notWhole(type, `${place}.data[${i}]`);
      numbers[i] = whole;
    }
    return numbers;
  }
  const [min, max] = range === null ? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] : range.map(Number);
  for (let i = 0; i < count; i++) {
    const value = values[i];
    const number = typeof value === "boolean" || typeof value === "bigint" ? Number(value) : value;
    if (range === null) {
      if (typeof number === "number") numbers[i] = number;
      else if (number === null) numbers[i] = Number.NaN;
      else throw invalidRequest(`${place}.data[${i}]`, `a number (${type}) or null`);
    } else {
      if (typeof number !== "number" || !Number.isInteger(number) || number < min! || number > max!) {
        throw notWhole(type, `${place}.data[${i}]`);
      }
      numbers[i] = number;
    }
  }
  return numbers;
}

function notWhole(type: NumberDatatype, path: string): Error {
  const [min, max] = NUMBER_TYPES[type].range!;
  return invalidRequest(path, type === "BOOL" ? "true or false" : `a whole number of ${type} (${min} to ${max})`);
}

function readOutputs(outputs: unknown): readonly RequestedOutput[] | null {
  if (outputs === undefined || outputs === null) return null;
  if (!Array.isArray(outputs)) throw invalidRequest("outputs", "a list of objects with a name");
  if (outputs.length === 0) return null;
  return outputs.map((output: unknown, i) => {
    const path = `outputs[${i}]`;
    if (!isObject(output)) throw invalidRequest(path, "an object with a name");
    const { name, parameters = {} } = output;
    if (typeof name !== "string") throw invalidRequest(`${path}.name`, "a text");
    if (!isObject(parameters)) throw invalidRequest(`${path}.parameters`, "an object");
    if (Number(parameters.classification ?? 0) > 0 || "shared_memory_region" in parameters) {
      throw apiError(
        "NOT_SUPPORTED",
        `${path}: classification and shared memory are Triton's own and not spoken here.`,
      );
    }
    const isBinary = parameters.binary_data;
    return { name, isBinary: typeof isBinary === "boolean" ? isBinary : null };
  });
}

function checkContentType(parameters: JsonObject, path: string): boolean {
  const type = parameters.content_type;
  if (type === undefined || type === null) return false;
  if (typeof type === "string" && CONTENT_TYPES.includes(type)) return true;
  throw invalidRequest(`${path}.content_type`, `one of ${CONTENT_TYPES.join(", ")}`);
}
