import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { keyTypeMismatch, malformedBytes } from "./encoding-errors.ts";

/** The first byte of each part of a key. The numbers are stored: never renumber them. */
const keyTag = { text: 1, int64: 2, int32: 3, bool: 4, timestamp: 5, float64: 6 } as const;

/**
 * Writes the key of an entity: for each key column in declared order a type tag, then the value. Texts (`string`,
 * `one_of`) and int64 carry their length in bytes before them; int32 and timestamps are zigzag varints, a bool is one
 * byte, a float64 eight. Different keys have different bytes, as long as strings are well-formed UTF-16 (a lone
 * surrogate counts as U+FFFD).
 *
 * Returns false, with nothing written, if a value is null: such an event belongs to no entity.
 */
export function encodeEntityKey(types: readonly ColumnTypeSpec[], values: readonly Value[], out: ByteWriter): boolean {
  for (let index = 0; index < types.length; index++) {
    if (values[index] === null || values[index] === undefined) return false;
  }
  for (let index = 0; index < types.length; index++) writeKeyPart(types[index]!, values[index]!, out);
  return true;
}

/** Reads the key values up to the end of the input: the inverse of `encodeEntityKey`. */
export function decodeEntityKey(input: ByteReader): Value[] {
  const values: Value[] = [];
  while (input.remaining > 0) {
    const tag = input.u8();
    if (tag === keyTag.text) values.push(input.string());
    else if (tag === keyTag.int64) values.push(input.bigint());
    else if (tag === keyTag.int32 || tag === keyTag.timestamp) values.push(input.zigzag());
    else if (tag === keyTag.bool) values.push(input.u8() === 1);
    else if (tag === keyTag.float64) values.push(input.f64());
    else throw malformedBytes(`${tag} is no key tag`, input.position - 1);
  }
  return values;
}

function writeKeyPart(type: ColumnTypeSpec, value: Value, out: ByteWriter): void {
  switch (type.kind) {
    case "string":
    case "one_of":
      if (typeof value !== "string") break;
      out.u8(keyTag.text);
      out.string(value);
      return;
    case "int64":
      if (typeof value !== "bigint") break;
      out.u8(keyTag.int64);
      out.bigint(value);
      return;
    case "int32":
    case "timestamp":
      if (typeof value !== "number") break;
      out.u8(type.kind === "int32" ? keyTag.int32 : keyTag.timestamp);
      out.zigzag(value);
      return;
    case "bool":
      if (typeof value !== "boolean") break;
      out.u8(keyTag.bool);
      out.u8(value ? 1 : 0);
      return;
    case "float64":
      if (typeof value !== "number") break;
      out.u8(keyTag.float64);
      out.f64(value);
      return;
    case "list":
      break;
  }
  throw keyTypeMismatch(type.kind, Array.isArray(value) ? "list" : typeof value);
}
