import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { DataType, RecordBatch, Vector } from "apache-arrow";
import { millraceError } from "../definitions/errors.ts";
import { apiError } from "./api-errors.ts";
import { batchTooLarge } from "./batch/batch-limits.ts";
import type { GivenRows } from "./batch/given-rows.ts";

type Arrow = typeof import("apache-arrow");

/**
 * Rows of an Arrow IPC stream. Memory is bounded by its record batches, of which none may be larger than `most` bytes.
 * @throws `BODY_MALFORMED`, `BODY_TOO_LARGE`, `PACKAGE_MISSING`
 */
export async function* arrowStreamRows(body: AsyncIterable<Buffer>, most: number): AsyncGenerator<GivenRows> {
  const arrow = await loadArrow();
  let sinceBatch = 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for await (const piece of body) {
      sinceBatch += piece.length;
      if (sinceBatch > most) throw recordBatchTooLarge(most);
      yield piece;
    }
  }
  try {
    const reader = await arrow.RecordBatchReader.from(pieces());
    for await (const batch of reader) {
      sinceBatch = 0;
      if (batch.numRows > 0) yield tableOf(arrow, batch);
    }
  } catch (error) {
    throw malformed(error);
  }
}

/** Rows of an Arrow IPC file, whose directory is at its end: the body goes to a file in `folder` first. As the stream's. */
export async function* arrowFileRows(
  body: AsyncIterable<Buffer>,
  folder: string,
  most: number,
): AsyncGenerator<GivenRows> {
  const arrow = await loadArrow();
  const path = join(folder, "rows.arrow");
  await pipeline(body, createWriteStream(path));
  const file = await open(path);
  try {
    const magic = await file.read(Buffer.alloc(6), 0, 6, 0);
    if (magic.buffer.toString("latin1") !== "ARROW1") throw malformed("it does not begin as an Arrow IPC file");
    const reader = await arrow.RecordBatchReader.from(file);
    await reader.open();
    for (const { bodyLength } of reader.isFile() ? reader.footer!.recordBatches() : []) {
      if (bodyLength > most) throw recordBatchTooLarge(most);
    }
    for await (const batch of reader) if (batch.numRows > 0) yield tableOf(arrow, batch);
  } catch (error) {
    throw malformed(error);
  } finally {
    // The reader may have closed it.
    await file.close().catch(() => {});
  }
}

async function loadArrow(): Promise<Arrow> {
  try {
    return await import("apache-arrow");
  } catch (cause) {
    throw millraceError(
      "PACKAGE_MISSING",
      "Bodies in Arrow need the package apache-arrow beside Millrace: npm install apache-arrow. JSON, CSV and Parquet need nothing.",
      { cause, kind: "operational" },
    );
  }
}

function recordBatchTooLarge(most: number): Error {
  return batchTooLarge(
    "A record batch",
    "recordBatchBytes",
    most,
    "write smaller ones, as with max_chunksize in pyarrow",
  );
}

function tableOf(arrow: Arrow, batch: RecordBatch): GivenRows {
  const vectors = batch.schema.fields.map((_, index) => batch.getChildAt(index)!);
  return {
    kind: "table",
    names: batch.schema.fields.map(({ name }) => name),
    count: batch.numRows,
    cell: (row, column) => native(vectors[column]!.get(row)),
    failure: () => null,
    numbers: (column) => numbersOf(arrow, vectors[column]!),
  };
}

function numbersOf(
  { DataType: types }: Arrow,
  vector: Vector<DataType>,
): Float32Array | Float64Array | Int32Array | null {
  if (vector.nullCount > 0 || vector.data.length !== 1) return null;
  const { type } = vector;
  if (!types.isFloat(type) && !types.isInt(type)) return null;
  const values: unknown = vector.toArray();
  return values instanceof Float32Array || values instanceof Float64Array || values instanceof Int32Array
    ? values
    : null;
}

/** Lists as lists; the rest is what a column's type reads. */
function native(value: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Symbol.iterator in value ? Array.from(value as Iterable<unknown>, native) : value;
}

function malformed(error: unknown): unknown {
  if (error instanceof Error && error.name === "MillraceError") return error;
  const why = error instanceof Error ? error.message : String(error);
  return apiError("BODY_MALFORMED", `The body cannot be read as Arrow IPC: ${why}.`, { cause: error });
}
