import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { type ByteWriter, createByteWriter } from "./byte-writer.ts";
import { writeCanonicalJson } from "./canonical-json.ts";
import { murmur3 } from "./murmur3.ts";

/** A column of a payload. How a value is written depends on the value alone, whatever the declared type. */
export interface PayloadColumn {
  readonly name: string;
  readonly type: ColumnTypeSpec;
}

/**
 * Writes the canonical JSON object of a row, as RFC 8785 does: names sorted by their UTF-16 code units, no spaces,
 * values as `writeCanonicalJson` writes them, null columns left out. A row of nulls is `{}`.
 *
 * `columns` are already sorted; `row[indexes[i]]` is the value of `columns[i]`.
 */
export function writeCanonicalRow(
  out: ByteWriter,
  columns: readonly PayloadColumn[],
  row: readonly Value[],
  indexes: readonly number[],
): void {
  writeRow(out, columns.map(nameBytes), row, indexes);
}

/**
 * Compiles the payload hash of a schema: MurmurHash3_x86_128, seed 0, of the row's canonical JSON. `row[i]` is the
 * value of `columns[i]`, in declared order. The four words go to `out`, of which the first is the most significant in
 * `EventOrder`.
 */
export function createPayloadHasher(
  columns: readonly PayloadColumn[],
): (row: readonly Value[], out: Uint32Array) => void {
  const indexes = columns.map((_, index) => index).sort((a, b) => compareNames(columns[a]!.name, columns[b]!.name));
  const names = indexes.map((index) => nameBytes(columns[index]!));
  const scratch = createByteWriter(1024);
  return (row, out) => {
    scratch.reset();
    writeRow(scratch, names, row, indexes);
    murmur3(scratch.reserve(0), 0, scratch.position, 0, out);
  };
}

/** The payload hash of one row; where there are many, compile a hasher once. */
export function payloadHash(columns: readonly PayloadColumn[], row: readonly Value[]): Uint32Array {
  const words = new Uint32Array(4);
  createPayloadHasher(columns)(row, words);
  return words;
}

function writeRow(
  out: ByteWriter,
  names: readonly Uint8Array[],
  row: readonly Value[],
  indexes: readonly number[],
): void {
  let separator = 0x7b;
  for (let position = 0; position < indexes.length; position++) {
    const value = row[indexes[position]!]!;
    if (value === null) continue;
    out.u8(separator);
    out.raw(names[position]!);
    writeCanonicalJson(out, value);
    separator = 0x2c;
  }
  if (separator === 0x7b) out.u8(0x7b);
  out.u8(0x7d);
}

/** The name as a JSON string, and a colon. */
function nameBytes(column: { readonly name: string }): Uint8Array {
  const out = createByteWriter(32);
  writeCanonicalJson(out, column.name);
  out.u8(0x3a);
  return out.finish();
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
