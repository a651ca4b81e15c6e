import type { ColumnTypeSpec, Value } from "../definitions/value.ts";
import type { FeatureStatus } from "../feature_engineering/windows/read-features.ts";
import { type ColumnValues, createColumn } from "./offline/point-in-time.ts";

/** The inputs of a frame's rows, before transforms, as they were at each row's time: per input slot, one per row. */
export interface HistoricalInputs {
  readonly values: readonly ColumnValues[];
  /** Codes: {@link statusOf} tells what each is. */
  readonly statuses: readonly Uint8Array[];
}

export const NOT_FOUND = 0;
export const NULL_VALUE = 1;
export const PRESENT = 2;
export const OUTSIDE_MAX_AGE = 3;

const STATUSES: readonly FeatureStatus[] = ["NOT_FOUND", "NULL_VALUE", "PRESENT", "OUTSIDE_MAX_AGE"];

export function statusOf(code: number): FeatureStatus {
  return STATUSES[code]!;
}

export function codeOf(status: FeatureStatus): number {
  return STATUSES.indexOf(status);
}

/** Slots of these types with `rows` nulls that were not found. */
export function createHistoricalInputs(types: readonly ColumnTypeSpec[], rows: number): HistoricalInputs {
  return {
    values: types.map((type) => createColumn(type, rows)),
    statuses: types.map(() => new Uint8Array(new SharedArrayBuffer(rows))),
  };
}

/** Sets a value of a column. */
export function putValue(column: ColumnValues, row: number, value: Value): void {
  if (column instanceof Float64Array) column[row] = value === null ? Number.NaN : (value as number);
  else column[row] = value;
}
