import { isMillraceError } from "../definitions/errors.ts";
import type { ModelMeta } from "../definitions/model.ts";
import type { ColumnTypeSpec, Value } from "../definitions/value.ts";
import type { ServiceRuntime } from "../feature_store/service-runtime.ts";
import type { ApiContext } from "./api-context.ts";
import { invalidRequest } from "./api-errors.ts";
import { locateLookup } from "./locate-lookup.ts";
import type { WholeAnswers, WholeRows } from "./models/predict-whole.ts";
import type { VersionSlot } from "./models/version-loader.ts";
import { isNumeric, textValue, wholeKind, wholeValue } from "./models/whole-value.ts";
import type { RowForm } from "./row-form.ts";

/** A column of rows that are to be predicted. */
export interface TableColumn {
  readonly name: string;
  readonly type: ColumnTypeSpec;
}

/** Rows of one form, each with the values of {@link tableColumns} in their order. */
export interface Table {
  readonly form: RowForm;
  readonly rows: readonly (readonly Value[])[];
}

export interface TablePrediction {
  readonly version: string | null;
  readonly answers: WholeAnswers;
  /** Epoch milliseconds; null if nothing was looked up. */
  readonly asOf: number | null;
  readonly fallback: boolean;
  readonly headOverlap: readonly boolean[];
}

export interface TableOptions {
  /** Epoch milliseconds; for keys. */
  readonly asOf?: number | undefined;
  readonly exact: boolean;
  /** See `PredictRequest.slot`. */
  readonly slot?: VersionSlot;
  /** See `PredictRequest.deadline`. */
  readonly deadline?: number;
  /** See `PredictRequest.isGone`. */
  readonly isGone?: () => boolean;
  /** The request's arrival on the monotonic clock. */
  readonly startedAt: number;
}

/** The columns that rows of a form have: what the model reads, or what the service looks up. */
export function tableColumns({ service, row }: ServiceRuntime, form: RowForm): readonly TableColumn[] {
  return form === "features" ? row.columns : service.lookup;
}

/**
 * A value as it came, as the column's type; texts in columns of numbers are read as numbers. What is looked up is
 * checked by the look-up.
 * @throws `REQUEST_INVALID`
 */
export function tableValue(raw: unknown, { name, type }: TableColumn, form: RowForm, row: number): Value {
  const value = typeof raw === "string" ? textValue(raw, type) : wholeValue(raw, type);
  if (value !== undefined) return value;
  if (form === "keys") return (raw ?? null) as Value;
  throw invalidRequest(`rows[${row}].${name}`, wholeKind(type));
}

/** Predicts rows of either form, all with one version. */
export async function predictTable(
  api: ApiContext,
  model: ModelMeta,
  table: Table,
  options: TableOptions,
): Promise<TablePrediction> {
  const runtime = api.features.service(model.service.name);
  const { asOf, exact, slot, deadline, isGone } = options;
  const bounds = {
    ...(slot === undefined ? {} : { slot }),
    ...(deadline === undefined ? {} : { deadline }),
    ...(isGone === undefined ? {} : { isGone }),
  };
  if (table.form === "features") {
    const { version, answers, fallback } = await api.models.predictWhole(
      model.name,
      wholeRows(tableColumns(runtime, "features"), table.rows),
      { startedAt: options.startedAt, ...bounds },
    );
    return { version, answers, fallback, asOf: null, headOverlap: [] };
  }
  const { lookup } = runtime.service;
  const rows = table.rows.map((values) => {
    const row: Record<string, unknown> = {};
    for (let i = 0; i < lookup.length; i++) row[lookup[i]!.name] = values[i];
    return row;
  });
  try {
    const done = await api.models.predict(
      model.name,
      asOf === undefined ? { rows, exact, ...bounds } : { rows, exact, asOf, ...bounds },
      options.startedAt,
    );
    return {
      version: done.version,
      answers: { kind: "rows", rows: done.predictions },
      asOf: done.asOf,
      fallback: done.fallback,
      headOverlap: done.headOverlap,
    };
  } catch (error) {
    throw isMillraceError(error) ? locateLookup(error, api.features, model.service.name, rows) : error;
  }
}

function wholeRows(columns: readonly TableColumn[], rows: readonly (readonly Value[])[]): WholeRows {
  const count = rows.length;
  const matrix = columns.every(({ type }) => isNumeric(type)) ? asMatrix(rows, columns.length) : null;
  return matrix === null ? { kind: "rows", count, rows } : { kind: "matrix", count, matrix };
}

/** Null if an integer is beyond what a double holds. */
function asMatrix(rows: readonly (readonly Value[])[], width: number): Float64Array | null {
  const matrix = new Float64Array(rows.length * width);
  let i = 0;
  for (const row of rows) {
    for (let c = 0; c < width; c++, i++) {
      const value = row[c];
      if (typeof value === "number") matrix[i] = value;
      else if (value === null) matrix[i] = Number.NaN;
      else {
        const number = Number(value);
        if (typeof value === "bigint" && !Number.isSafeInteger(number)) return null;
        matrix[i] = number;
      }
    }
  }
  return matrix;
}
