/** The datatypes of the Open Inference Protocol that are numbers. */
export type NumberDatatype =
  | "BOOL"
  | "UINT8"
  | "UINT16"
  | "UINT32"
  | "UINT64"
  | "INT8"
  | "INT16"
  | "INT32"
  | "INT64"
  | "FP16"
  | "FP32"
  | "FP64";
export type Datatype = NumberDatatype | "BYTES";

export type NumberData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

interface NumberType {
  /** Per element, in binary. */
  readonly bytes: number;
  make(length: number): NumberData;
  /** Of whole numbers, the smallest and the largest. */
  readonly range: readonly [bigint, bigint] | null;
}

const integer = (bits: number, isSigned: boolean): readonly [bigint, bigint] =>
  isSigned ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n] : [0n, 2n ** BigInt(bits) - 1n];

/** FP16 is widened to float32 as it is read. */
export const NUMBER_TYPES: Readonly<Record<NumberDatatype, NumberType>> = {
  BOOL: { bytes: 1, make: (length) => new Uint8Array(length), range: [0n, 1n] },
  UINT8: { bytes: 1, make: (length) => new Uint8Array(length), range: integer(8, false) },
  UINT16: { bytes: 2, make: (length) => new Uint16Array(length), range: integer(16, false) },
  UINT32: { bytes: 4, make: (length) => new Uint32Array(length), range: integer(32, false) },
  UINT64: { bytes: 8, make: (length) => new BigUint64Array(length), range: integer(64, false) },
  INT8: { bytes: 1, make: (length) => new Int8Array(length), range: integer(8, true) },
  INT16: { bytes: 2, make: (length) => new Int16Array(length), range: integer(16, true) },
  INT32: { bytes: 4, make: (length) => new Int32Array(length), range: integer(32, true) },
  INT64: { bytes: 8, make: (length) => new BigInt64Array(length), range: integer(64, true) },
  FP16: { bytes: 2, make: (length) => new Float32Array(length), range: null },
  FP32: { bytes: 4, make: (length) => new Float32Array(length), range: null },
  FP64: { bytes: 8, make: (length) => new Float64Array(length), range: null },
};

export const DATATYPES: readonly Datatype[] = [...(Object.keys(NUMBER_TYPES) as NumberDatatype[]), "BYTES"];

/** Little-endian bytes as numbers. They are copied: a request's bytes stand at any address. */
export function readNumbers(datatype: NumberDatatype, bytes: Uint8Array): NumberData {
  const type = NUMBER_TYPES[datatype];
  const count = bytes.length / type.bytes;
  if (datatype === "FP16") {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Float32Array.from({ length: count }, (_, i) => halfFloat(view.getUint16(i * 2, true)));
  }
  const numbers = type.make(count);
  new Uint8Array(numbers.buffer).set(bytes);
  return numbers;
}

function halfFloat(bits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1_023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1_024) * 2 ** (exponent - 15);
}

/** Elements of BYTES: each a little-endian uint32 length and as many bytes. Null if they do not end with the last. */
export function readBytesElements(bytes: Buffer, count: number): Buffer[] | null {
  const elements: Buffer[] = [];
  let at = 0;
  while (elements.length < count) {
    if (at + 4 > bytes.length) return null;
    const end = at + 4 + bytes.readUInt32LE(at);
    if (end > bytes.length) return null;
    elements.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return at === bytes.length ? elements : null;
}

export function writeBytesElements(texts: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  for (const text of texts) {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}
