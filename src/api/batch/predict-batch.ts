import { isMillraceError } from "../../definitions/errors.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import type { Value } from "../../definitions/value.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import type { ApiContext } from "../api-context.ts";
import { apiError } from "../api-errors.ts";
import { deadlineExceeded } from "../models/deadline-exceeded.ts";
import type { WholeAnswers } from "../models/predict-whole.ts";
import type { VersionSlot } from "../models/version-loader.ts";
import { isNumeric } from "../models/whole-value.ts";
import { predictTable, type TableColumn, tableColumns, tableValue } from "../predict-table.ts";
import type { JsonObject } from "../request-body.ts";
import { type RowForm, rowForm } from "../row-form.ts";
import { batchTooLarge, DEFAULT_BATCH_LIMITS } from "./batch-limits.ts";
import { type GivenRows, isRefused, type RowFailure, rowFailure } from "./given-rows.ts";

/** The answers to consecutive rows. */
export interface AnsweredRows {
  /** The first row's number, from 0. */
  readonly from: number;
  readonly count: number;
  /** Null where the row has none: see `failure`. */
  readonly cell: (row: number, column: number) => Value;
  readonly failure: (row: number) => RowFailure | null;
  readonly headOverlap: (row: number) => boolean;
  /** The moment that features were read at, epoch milliseconds; null for rows that came whole. */
  readonly asOf: number | null;
  readonly form: RowForm;
}

export interface BatchOptions {
  readonly form: RowForm | null;
  readonly asOf: number | undefined;
  readonly exact: boolean;
  /** The version that answers all rows. */
  readonly slot: VersionSlot;
  /** When nobody waits for the answers any more, on the monotonic clock, milliseconds. Default: never. */
  readonly deadline?: number;
}

/** Errors of a chunk that may be those of a single row. */
const ROW_ERRORS = /^(LOOKUP_|MODEL_INPUT_INVALID$|REQUEST_INVALID$|CATEGORY_UNKNOWN$)/;

/** Predicts rows as they come, in their order, all at one moment and with one version. */
export async function* predictBatch(
  api: ApiContext,
  model: ModelMeta,
  source: AsyncIterable<GivenRows>,
  options: BatchOptions,
): AsyncGenerator<AnsweredRows> {
  const runtime = api.features.service(model.service.name);
  const { chunkRows, rows: mostRows } = api.limits.batch ?? DEFAULT_BATCH_LIMITS;
  const { deadline } = options;
  let form: RowForm | null = null;
  let { asOf } = options;
  let done = 0;
  for await (const given of source) {
    const count = given.kind === "records" ? given.rows.length : given.count;
    form ??= formOf(runtime, given, options.form);
    // No row could be read so far: what form they have is not known.
    const chunkForm = form ?? "features";
    for (let from = 0; from < count; from += chunkRows) {
      const to = Math.min(count, from + chunkRows);
      if (done + to - from > mostRows) throw batchTooLarge("The batch", "rows", mostRows, "send it in parts");
      if (deadline !== undefined && performance.now() > deadline) throw deadlineExceeded();
      const chunk = readChunk(runtime, given, chunkForm, from, to, done);
      const answers = await answerChunk(chunk, { ...options, asOf });
      asOf = answers.asOf ?? asOf;
      yield { ...answers, from: done, count: to - from, form: chunkForm };
      done += to - from;
    }
  }

  interface Chunk {
    readonly form: RowForm;
    readonly count: number;
    readonly from: number;
    /** Of the rows that could be read. */
    readonly rows: readonly (readonly Value[])[];
    /** Their places in the chunk. */
    readonly places: readonly number[];
    readonly failures: Map<number, RowFailure>;
    readonly matrix: Float32Array | Float64Array | null;
  }

  function readChunk(
    { row }: ServiceRuntime,
    given: GivenRows,
    chunkForm: RowForm,
    from: number,
    to: number,
    before: number,
  ): Chunk {
    const columns = tableColumns(runtime, chunkForm);
    const failures = new Map<number, RowFailure>();
    const head = { form: chunkForm, count: to - from, from: before, failures };
    if (given.kind === "table" && chunkForm === "features" && given.numbers !== undefined) {
      const matrix = numberMatrix(row.columns, given, from, to);
      if (matrix !== null) return { ...head, rows: [], places: [], matrix };
    }
    const read = given.kind === "records" ? recordReader(columns, chunkForm) : tableReader(columns, chunkForm, given);
    const rows: Value[][] = [];
    const places: number[] = [];
    for (let r = from; r < to; r++) {
      const place = r - from;
      const failure = failureOf(given, r);
      if (failure !== null) {
        failures.set(place, failure);
        continue;
      }
      try {
        rows.push(read(given.kind === "records" ? (given.rows[r] as JsonObject) : r, before + place));
        places.push(place);
      } catch (error) {
        failures.set(place, rowFailure(error));
      }
    }
    return { ...head, rows, places, matrix: null };
  }

  async function answerChunk(
    { form: chunkForm, count, rows, places, failures, matrix, from }: Chunk,
    { asOf: moment, exact, slot }: BatchOptions,
  ): Promise<Pick<AnsweredRows, "cell" | "failure" | "headOverlap" | "asOf">> {
    const failure = (r: number): RowFailure | null => failures.get(r) ?? null;
    if (matrix !== null) {
      const done = await api.models.predictWhole(model.name, { kind: "matrix", count, matrix }, { slot });
      if (done.fallback) for (let r = 0; r < count; r++) failures.set(r, TOO_LATE);
      const cell = cellsOf(model, done.answers);
      return { cell: (r, c) => (failures.has(r) ? null : cell(r, c)), failure, headOverlap: () => false, asOf: null };
    }
    const positions = new Int32Array(count).fill(-1);
    const parts: { readonly cell: (r: number, c: number) => Value; readonly at: Int32Array }[] = [];
    const overlaps = new Set<number>();
    let readAt: number | null = null;
    const predict = async (some: readonly (readonly Value[])[], at: readonly number[]): Promise<void> => {
      const held = {
        ...{ asOf: readAt ?? moment, exact, slot, startedAt: performance.now() },
        ...(deadline === undefined ? {} : { deadline }),
      };
      const done = await predictTable(api, model, { form: chunkForm, rows: some }, held);
      readAt = done.asOf ?? readAt;
      for (const [i, place] of at.entries()) {
        if (done.fallback) failures.set(place, TOO_LATE);
        else positions[place] = parts.length;
        if (done.headOverlap[i] === true) overlaps.add(place);
      }
      const index = new Int32Array(count);
      for (const [i, place] of at.entries()) index[place] = i;
      parts.push({ cell: cellsOf(model, done.answers), at: index });
    };
    if (rows.length > 0) {
      try {
        await predict(rows, places);
      } catch (error) {
        if (!isMillraceError(error) || !ROW_ERRORS.test(error.code)) throw error;
        for (const [i, row] of rows.entries()) {
          try {
            await predict([row], [places[i]!]);
          } catch (one) {
            failures.set(places[i]!, numbered(rowFailure(one), from + places[i]!));
          }
        }
      }
    }
    const cell = (r: number, c: number): Value => {
      const part = positions[r]! < 0 ? undefined : parts[positions[r]!];
      return part === undefined ? null : part.cell(part.at[r]!, c);
    };
    return { cell, failure, headOverlap: (r) => overlaps.has(r), asOf: readAt };
  }
}

const TOO_LATE: RowFailure = {
  code: "DEADLINE_EXCEEDED",
  detail: "The model did not answer in time; its declared fallback is not given in batches.",
};

/** A row alone is always `rows[0]`. */
function numbered({ code, detail }: RowFailure, row: number): RowFailure {
  return { code, detail: detail.replaceAll("rows[0]", `rows[${row}]`) };
}

/** Null while no row could be read. @throws `ROWS_INCOMPLETE`, `ROWS_AMBIGUOUS` */
function formOf(runtime: ServiceRuntime, given: GivenRows, asked: RowForm | null): RowForm | null {
  if (given.kind === "table") {
    if (new Set(given.names).size < given.names.length) {
      throw apiError("REQUEST_INVALID", `Two columns have one name: ${given.names.slice(0, 50).join(", ")}.`);
    }
    return rowForm(runtime, new Set(given.names), asked);
  }
  const first = given.rows.find((row) => !isRefused(row));
  return first === undefined ? null : rowForm(runtime, new Set(Object.keys(first)), asked);
}

function failureOf(given: GivenRows, r: number): RowFailure | null {
  if (given.kind === "table") return given.failure(r);
  const row = given.rows[r]!;
  return isRefused(row) ? row.refused : null;
}

type RowReader = (row: JsonObject | number, number: number) => Value[];

/** Of an object every column must be there, null or not, unless it may be null. */
function recordReader(columns: readonly TableColumn[], form: RowForm): RowReader {
  return (row, number) =>
    columns.map((column) => {
      const raw = (row as JsonObject)[column.name];
      if (raw === undefined && !column.type.nullable) {
        throw apiError("REQUEST_INVALID", `rows[${number}].${column.name} is missing.`, {
          details: { path: `rows[${number}].${column.name}` },
        });
      }
      return tableValue(raw, column, form, number);
    });
}

function tableReader(
  columns: readonly TableColumn[],
  form: RowForm,
  given: Extract<GivenRows, { readonly kind: "table" }>,
): RowReader {
  const positions = columns.map(({ name }) => given.names.indexOf(name));
  return (row, number) =>
    columns.map((column, c) => {
      const raw = positions[c]! < 0 ? null : given.cell(row as number, positions[c]!);
      return tableValue(raw, column, form, number);
    });
}

/** Rows of numbers without a null, one after another; null if a column is not so. */
function numberMatrix(
  columns: readonly TableColumn[],
  given: Extract<GivenRows, { readonly kind: "table" }>,
  from: number,
  to: number,
): Float32Array | Float64Array | null {
  if (!columns.every(({ type }) => isNumeric(type) && type.kind !== "bool")) return null;
  const numbers = columns.map(({ name }) => given.numbers!(given.names.indexOf(name)));
  const width = columns.length;
  const size = (to - from) * width;
  const isSingle = numbers.every((one) => one instanceof Float32Array);
  const matrix = isSingle ? new Float32Array(size) : new Float64Array(size);
  for (let c = 0; c < width; c++) {
    const values = numbers[c]!;
    if (values === null) return null;
    const isWhole = columns[c]!.type.kind !== "float64";
    for (let r = from, i = c; r < to; r++, i += width) {
      const value = values[r]!;
      if (isWhole && !Number.isInteger(value)) return null;
      matrix[i] = Number.isFinite(value) ? value : Number.NaN;
    }
  }
  return matrix;
}

function cellsOf({ output }: ModelMeta, answers: WholeAnswers): (row: number, column: number) => Value {
  if (answers.kind === "rows") return (row, column) => answers.rows[row]![output[column]!.name]!;
  const { values, width } = answers.answers;
  return (row, column) => {
    const value = values[row * width + column]!;
    return Number.isFinite(value) ? value + 0 : null;
  };
}
