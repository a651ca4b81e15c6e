import { Buffer } from "node:buffer";
import type { PoolClient } from "pg";
import { viewOf } from "./postgres-column.ts";
import type { PostgresApi } from "./postgres-database.ts";

/** Takes a field of a row: its bytes lie at [at, at + length), a null has length −1. */
export type TakeField = (bytes: Buffer, view: DataView, at: number, length: number) => void;

const HEADER_BYTES = 19;

/** Reads a query's answer as binary COPY: a function per field, and `row` after each row. Makes no rows. */
export async function copyFields(
  api: PostgresApi,
  client: PoolClient,
  select: string,
  takes: readonly TakeField[],
  row: () => void = () => {},
): Promise<void> {
  const parse = fieldParser(takes, row);
  for await (const bytes of client.query(api.copyTo(`COPY (${select}) TO STDOUT (FORMAT binary)`))) {
    parse(bytes as Buffer);
  }
}

/** Takes binary COPY apart as it comes, field by field, without making rows. */
function fieldParser(takes: readonly TakeField[], row: () => void): (bytes: Buffer) => void {
  let rest: Buffer | null = null;
  let started = false;
  return (more) => {
    const bytes = rest === null ? more : Buffer.concat([rest, more]);
    const view = viewOf(bytes);
    const end = bytes.length;
    let at = 0;
    if (!started) {
      if (end < HEADER_BYTES) {
        rest = bytes;
        return;
      }
      started = true;
      at = HEADER_BYTES;
    }
    while (at + 2 <= end && view.getInt16(at) >= 0) {
      const whole = rowEnd(view, at, end, takes.length);
      if (whole < 0) break;
      at += 2;
      for (let index = 0; index < takes.length; index++) {
        const length = view.getInt32(at);
        at += 4;
        takes[index]!(bytes, view, at, length);
        if (length > 0) at += length;
      }
      row();
    }
    rest = at === end ? null : bytes.subarray(at);
  };
}

/** Where the row that begins at `at` ends; −1 if not all of it is there. */
function rowEnd(view: DataView, at: number, end: number, fields: number): number {
  let position = at + 2;
  for (let index = 0; index < fields; index++) {
    if (position + 4 > end) return -1;
    const length = view.getInt32(position);
    position += 4 + Math.max(0, length);
  }
  return position <= end ? position : -1;
}
