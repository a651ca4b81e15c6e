import { Buffer } from "node:buffer";
import { once } from "node:events";
import type { PoolClient } from "pg";
import type { Value } from "../../definitions/value.ts";
import { type CopyBytes, copyBytes, type PostgresColumn, reserve, viewOf, writeField } from "./postgres-column.ts";
import type { PostgresApi } from "./postgres-database.ts";

/** Signature, flags and length of the extension, of PostgreSQL's binary COPY. */
const HEADER: Buffer = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
/** What is sent at once: the server inserts one slice while the next is written. */
const SLICE_BYTES = 128 * 1024;

/** Sends the slices as the data of a COPY … FROM STDIN. */
export async function copyIn(
  { copyFrom }: PostgresApi,
  client: PoolClient,
  sql: string,
  slices: Iterable<Buffer>,
): Promise<void> {
  const stream = client.query(copyFrom(sql));
  let failed = false;
  const ended = new Promise<void>((resolve, reject) => {
    stream.once("finish", resolve);
    stream.on("error", (error) => {
      failed = true;
      reject(error);
    });
  });
  ended.catch(() => {});
  try {
    for (const slice of slices) {
      if (failed) break;
      if (!stream.write(slice)) await Promise.race([once(stream, "drain").catch(() => {}), ended]);
    }
  } catch (error) {
    if (!failed) stream.destroy(error as Error);
    await ended.catch(() => {});
    throw error;
  }
  if (!failed) stream.end();
  await ended;
}

/** What a query selects, in batches of rows as they come. To be run to the end, or the connection to be ended. */
export async function* copyOut<Row>(
  { copyTo }: PostgresApi,
  client: PoolClient,
  select: string,
  parser: CopyParser<Row>,
): AsyncGenerator<Row[]> {
  for await (const bytes of client.query(copyTo(`COPY (${select}) TO STDOUT (FORMAT binary)`))) {
    const rows = parser.push(bytes as Buffer);
    if (rows.length > 0) yield rows;
  }
}

/** One column of what is copied. */
export interface CopyField<Row> {
  readonly column: PostgresColumn;
  readonly value: (row: Row) => Value;
}

/** Rows in the binary form, in slices. */
export function* copySlices<Row>(fields: readonly CopyField<Row>[], rows: readonly Row[]): Generator<Buffer> {
  let out = slice();
  HEADER.copy(out.bytes);
  out.at = HEADER.length;
  const count = fields.length;
  for (const row of rows) {
    reserve(out, 2);
    out.view.setInt16(out.at, count);
    out.at += 2;
    for (let index = 0; index < count; index++) {
      const { column, value } = fields[index]!;
      writeField(out, column, value(row));
    }
    if (out.at >= SLICE_BYTES) {
      yield out.bytes.subarray(0, out.at);
      out = slice();
    }
  }
  reserve(out, 2);
  out.view.setInt16(out.at, -1);
  yield out.bytes.subarray(0, out.at + 2);
}

function slice(): CopyBytes {
  return copyBytes(SLICE_BYTES + 16 * 1024);
}

/** Takes the bytes of a COPY … TO STDOUT apart as they come. */
export interface CopyParser<Row> {
  /** The rows that these bytes complete. */
  push(bytes: Buffer): Row[];
}

/** `make` gets the row's values in the order of the columns, in an array that is its own. */
export function copyParser<Row>(columns: readonly PostgresColumn[], make: (values: Value[]) => Row): CopyParser<Row> {
  const count = columns.length;
  let rest: Buffer | null = null;
  let started = false;

  return {
    push(more) {
      const bytes = rest === null ? more : Buffer.concat([rest, more]);
      const view = viewOf(bytes);
      const end = bytes.length;
      const rows: Row[] = [];
      let at = 0;
      if (!started) {
        if (end < HEADER.length) {
          rest = bytes;
          return rows;
        }
        started = true;
        at = HEADER.length;
      }
      let complete = at;
      each: while (at + 2 <= end && view.getInt16(at) >= 0) {
        at += 2;
        const values = new Array<Value>(count);
        for (let index = 0; index < count; index++) {
          if (at + 4 > end) break each;
          const length = view.getInt32(at);
          at += 4;
          if (length < 0) {
            values[index] = null;
            continue;
          }
          if (at + length > end) break each;
          values[index] = columns[index]!.read(bytes, view, at, length);
          at += length;
        }
        rows.push(make(values));
        complete = at;
      }
      rest = complete === end ? null : bytes.subarray(complete);
      return rows;
    },
  };
}
