import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import type { DataType, RecordBatch } from "apache-arrow";
import { millraceError } from "../../definitions/errors.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { FrameBatch, FrameColumn, FrameReader } from "./frame-file.ts";
import { valueAt } from "./point-in-time.ts";

type ArrowModule = typeof import("apache-arrow");

/** Opens an Arrow IPC file or stream. @throws `FILE_CORRUPT`, `PACKAGE_MISSING` */
export async function openArrowFrame(path: string): Promise<FrameReader> {
  const arrow = await loadArrow();
  try {
    let rows = 0;
    let columns: FrameColumn[] = [];
    for await (const batch of recordBatches(arrow, path)) {
      rows += batch.numRows;
      columns = batch.schema.fields.map(({ name, type }) => ({ name, type: typeOf(arrow, type) }));
    }
    return {
      columns,
      rows,
      async *read(skip) {
        let left = skip;
        for await (const batch of recordBatches(arrow, path)) {
          if (left >= batch.numRows) {
            left -= batch.numRows;
            continue;
          }
          yield batchOf(arrow, left === 0 ? batch : batch.slice(left), columns);
          left = 0;
        }
      },
      close: async () => {},
    };
  } catch (error) {
    if (error instanceof Error && error.name === "MillraceError") throw error;
    throw millraceError(
      "FILE_CORRUPT",
      `The file ${path} cannot be read as Arrow IPC: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

/** Writes an Arrow IPC file; text is Utf8, timestamps are Timestamp(ms, UTC). */
export async function writeArrowFrame(
  path: string,
  columns: readonly FrameColumn[],
  batches: Iterable<FrameBatch> | AsyncIterable<FrameBatch>,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const arrow = await loadArrow();
  const types = columns.map(({ type }) => arrowType(arrow, type));
  const schema = new arrow.Schema(
    columns.map(({ name }, index) => new arrow.Field(name, types[index]!, true)),
    new Map(Object.entries(metadata)),
  );
  const writer = new arrow.RecordBatchFileWriter();
  const out = createWriteStream(path);
  const done = once(out, "finish");
  done.catch(() => {});
  writer.toNodeStream({}).pipe(out);
  writer.reset(undefined, schema);
  for await (const batch of batches) {
    const children = types.map((type, index) => {
      const builder = arrow.makeBuilder({ type, nullValues: [null] });
      const column = batch.columns[index]!;
      for (let row = 0; row < batch.count; row++) builder.append(valueAt(column, row));
      return builder.finish().flush();
    });
    const struct = arrow.makeData({ type: new arrow.Struct(schema.fields), length: batch.count, children });
    writer.write(new arrow.RecordBatch(schema, struct));
    if (out.writableNeedDrain) await once(out, "drain");
  }
  writer.finish();
  await done;
}

async function* recordBatches(arrow: ArrowModule, path: string): AsyncGenerator<RecordBatch> {
  const reader = await arrow.RecordBatchReader.from(createReadStream(path));
  for await (const batch of reader) yield batch;
}

function batchOf(arrow: ArrowModule, batch: RecordBatch, columns: readonly FrameColumn[]): FrameBatch {
  return {
    count: batch.numRows,
    columns: columns.map(({ type }, index) => {
      const vector = batch.getChildAt(index)!;
      const field = batch.schema.fields[index]!.type;
      const values = new Array<Value>(batch.numRows);
      for (let row = 0; row < batch.numRows; row++) values[row] = nativeOf(arrow, field, type, vector.get(row));
      return values;
    }),
  };
}

function nativeOf(arrow: ArrowModule, field: DataType, type: ColumnTypeSpec, raw: unknown): Value {
  if (raw === null || raw === undefined) return null;
  switch (type.kind) {
    case "timestamp":
      return Math.floor(Number(raw));
    case "int64":
      return typeof raw === "bigint" ? raw : BigInt(raw as number);
    case "int32":
      return Number(raw);
    case "float64": {
      const number = Number(raw);
      return Number.isFinite(number) ? number + 0 : null;
    }
    case "bool":
      return raw === true;
    case "list": {
      const item = (field as { readonly children?: readonly { readonly type: DataType }[] }).children![0]!.type;
      return Array.from(raw as Iterable<unknown>, (value) => nativeOf(arrow, item, type.item!, value));
    }
    default:
      return String(raw);
  }
}

function typeOf(arrow: ArrowModule, type: DataType): ColumnTypeSpec {
  const { DataType } = arrow;
  const of = (kind: ColumnTypeSpec["kind"]): ColumnTypeSpec => ({ kind, nullable: true });
  if (DataType.isTimestamp(type) || DataType.isDate(type)) return of("timestamp");
  if (DataType.isInt(type))
    return of(type.bitWidth < 32 || (type.bitWidth === 32 && type.isSigned) ? "int32" : "int64");
  if (DataType.isFloat(type)) return of("float64");
  if (DataType.isBool(type)) return of("bool");
  if (DataType.isDictionary(type)) return typeOf(arrow, type.dictionary);
  if (DataType.isList(type)) return { ...of("list"), item: typeOf(arrow, type.children[0]!.type) };
  return of("string");
}

function arrowType(arrow: ArrowModule, type: ColumnTypeSpec): DataType {
  switch (type.kind) {
    case "int64":
      return new arrow.Int64();
    case "int32":
      return new arrow.Int32();
    case "float64":
      return new arrow.Float64();
    case "bool":
      return new arrow.Bool();
    case "timestamp":
      return new arrow.TimestampMillisecond("UTC");
    case "list":
      return new arrow.List(new arrow.Field("item", arrowType(arrow, type.item!), true));
    default:
      return new arrow.Utf8();
  }
}

async function loadArrow(): Promise<ArrowModule> {
  try {
    return await import("apache-arrow");
  } catch (cause) {
    throw millraceError(
      "PACKAGE_MISSING",
      "Reading and writing Arrow needs the package apache-arrow: npm install apache-arrow.",
      { cause },
    );
  }
}
