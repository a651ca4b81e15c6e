import { isMillraceError, type MillraceError, millraceError } from "../definitions/errors.ts";
import type { ColumnTypeSpec, Value } from "../definitions/value.ts";
import type { LabelFrame } from "./label-groups.ts";
import { readLabels } from "./labels.ts";
import { readTime } from "./lookup.ts";
import { openArrowFrame } from "./offline/arrow-frame-files.ts";
import type { DuckdbFrameFiles } from "./offline/duckdb-frame-files.ts";
import type { FrameBatch, FrameColumn, FrameReader } from "./offline/frame-file.ts";
import { type ColumnValues, valueAt } from "./offline/point-in-time.ts";
import type { ServiceRuntime } from "./service-runtime.ts";
import { EVENT_TIMESTAMP } from "./training-set.ts";

/** Rows of an entity frame that are read at once. */
export interface FramePart {
  readonly frame: LabelFrame;
  /** One column per `EntityFrame.carried`. */
  readonly carried: readonly ColumnValues[];
  /** One column per label that transforms learn from; none where nothing is fitted. */
  readonly labels: readonly ColumnValues[];
}

/** How a service reads the frames that have these columns. */
export interface EntityFrame {
  /** The frame's columns as the training set has them: lookup columns in their declared types. */
  readonly carried: readonly FrameColumn[];
  /** Cuts batches into parts of `size` rows. `firstRow` is the number of the first, for errors. */
  parts(batches: AsyncIterable<FrameBatch>, size: number, firstRow: number): AsyncIterable<FramePart>;
}

/** Opens a frame: CSV, Parquet, JSON lines or Arrow IPC, told by the name. @throws `FILE_…` */
export function openEntityFrame(
  files: DuckdbFrameFiles,
  path: string,
  { service }: ServiceRuntime,
): Promise<FrameReader> {
  if (/\.(arrow|arrows|feather|ipc)$/i.test(path)) return openArrowFrame(path);
  const texts = service.lookup.filter(({ type }) => type.kind === "string" || type.kind === "one_of");
  return files.open(
    path,
    texts.map(({ name }) => name),
  );
}

/** @throws from `parts`: `EVENT_TIMESTAMP_MISSING`, `LOOKUP_…`, `LABEL_INVALID`, each naming the row */
export function createEntityFrame(
  runtime: ServiceRuntime,
  columns: readonly FrameColumn[],
  fits: boolean,
): EntityFrame {
  const { lookup } = runtime.service;
  const features = new Set(runtime.row.columns.map(({ name }) => name));
  const indexOf = new Map(columns.map(({ name }, index) => [name, index]));
  const lookupIndexes = lookup.map(({ name }) => indexOf.get(name) ?? -1);
  const timeIndex = indexOf.get(EVENT_TIMESTAMP) ?? -1;
  const labelNames = fits ? runtime.row.labels : [];
  const carried = columns.map(({ name, type }): FrameColumn => {
    const known = lookup.find((column) => column.name === name);
    return {
      name: features.has(name) ? `lookup_${name}` : name,
      type:
        name === EVENT_TIMESTAMP
          ? { kind: "timestamp", nullable: true }
          : { ...(known === undefined ? type : known.type), nullable: true },
    };
  });

  function read(part: readonly FrameBatch[], count: number, firstRow: number): FramePart {
    const times = new Float64Array(count);
    const looked = lookup.map(() => new Array<Value>(count));
    const labels = labelNames.map(() => new Array<Value>(count));
    const raw = columns.map((_, index) => joined(part.map((batch) => batch.columns[index]!)));
    const object: Record<string, unknown> = {};
    for (let row = 0; row < count; row++) {
      const time = timeIndex < 0 ? null : readTime(plain(raw[timeIndex]![row]!));
      if (time === null) throw timestampMissing(firstRow + row);
      times[row] = time;
      for (let i = 0; i < lookup.length; i++) {
        object[lookup[i]!.name] =
          lookupIndexes[i]! < 0 ? undefined : given(raw[lookupIndexes[i]!]![row]!, lookup[i]!.type);
      }
      try {
        const values = runtime.readLookup(object);
        for (let i = 0; i < lookup.length; i++) looked[i]![row] = values[i]!;
      } catch (error) {
        throw ofRow(error, firstRow + row);
      }
      if (labels.length > 0) {
        const named = Object.fromEntries(
          labelNames.map(({ name }) => [name, indexOf.has(name) ? raw[indexOf.get(name)!]![row]! : null]),
        );
        const values = readLabels(labelNames, named, firstRow + row);
        for (let i = 0; i < labels.length; i++) labels[i]![row] = values[i]!;
      }
    }
    return {
      frame: { count, lookup: looked, times },
      carried: columns.map((_, index) => {
        if (index === timeIndex) return times;
        const at = lookupIndexes.indexOf(index);
        return at < 0 ? raw[index]! : looked[at]!;
      }),
      labels,
    };
  }

  return {
    carried,
    async *parts(batches, size, firstRow) {
      let pending: FrameBatch[] = [];
      let count = 0;
      let first = firstRow;
      for await (let batch of batches) {
        while (count + batch.count >= size) {
          const taken = size - count;
          pending.push(sliced(batch, 0, taken));
          yield read(pending, size, first);
          first += size;
          pending = [];
          count = 0;
          batch = sliced(batch, taken, batch.count);
        }
        if (batch.count > 0) pending.push(batch);
        count += batch.count;
      }
      if (count > 0) yield read(pending, count, first);
    },
  };
}

function sliced(batch: FrameBatch, from: number, to: number): FrameBatch {
  if (from === 0 && to === batch.count) return batch;
  return { count: to - from, columns: batch.columns.map((column) => column.slice(from, to)) };
}

function joined(columns: readonly ColumnValues[]): Value[] {
  const all: Value[] = [];
  for (const column of columns) for (let i = 0; i < column.length; i++) all.push(valueAt(column, i));
  return all;
}

/** A file's integers are numbers where a double holds them, as in JSON: a lookup takes them for every numeric type. */
function plain(value: Value): unknown {
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/;

/** In a column that some rows made text, the others' numbers are numbers still. */
function given(value: Value, { kind }: ColumnTypeSpec): unknown {
  const isNumeric = kind === "float64" || kind === "int32" || kind === "int64";
  return isNumeric && typeof value === "string" && NUMBER.test(value) ? Number(value) : plain(value);
}

function timestampMissing(row: number): MillraceError {
  return millraceError(
    "EVENT_TIMESTAMP_MISSING",
    `Row ${row} has no readable ${EVENT_TIMESTAMP}: each row needs the moment t to look features up at, as ISO 8601 with a zone or epoch milliseconds.`,
    { details: { row } },
  );
}

function ofRow(error: unknown, row: number): unknown {
  if (!isMillraceError(error)) return error;
  return millraceError(error.code, `Row ${row}: ${error.message}`, {
    cause: error,
    kind: error.kind,
    details: { ...error.details, row },
  });
}
