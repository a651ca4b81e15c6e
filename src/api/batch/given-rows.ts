import { isMillraceError } from "../../definitions/errors.ts";
import type { JsonObject } from "../request-body.ts";
import { batchTooLarge } from "./batch-limits.ts";

/** Why a row of a batch has no prediction. */
export interface RowFailure {
  readonly code: string;
  readonly detail: string;
}

/** Consecutive rows as they came: objects or failures, or a table by column. */
export type GivenRows =
  | { readonly kind: "records"; readonly rows: readonly (JsonObject | RowRefused)[] }
  | {
      readonly kind: "table";
      readonly names: readonly string[];
      readonly count: number;
      /** The value, undefined where a short row has none. */
      readonly cell: (row: number, column: number) => unknown;
      readonly failure: (row: number) => RowFailure | null;
      /** The whole column, where it is numbers without a null. */
      readonly numbers?: (column: number) => Float32Array | Float64Array | Int32Array | null;
    };

/** In place of a row that could not be read. */
export interface RowRefused {
  readonly refused: RowFailure;
}

export function isRefused(row: JsonObject | RowRefused): row is RowRefused {
  return "refused" in row && REFUSED.has(row);
}

const REFUSED = new WeakSet<object>();

export function refused(code: string, detail: string): RowRefused {
  const row: RowRefused = { refused: { code, detail } };
  REFUSED.add(row);
  return row;
}

/** What a row or its prediction failed with, if that is the row's own fault; other errors are thrown on. */
export function rowFailure(error: unknown): RowFailure {
  if (isMillraceError(error) && error.kind === "user") return { code: error.code, detail: error.message };
  throw error;
}

export function rowTooLong(row: number, most: number): Error {
  return batchTooLarge(`Row ${row}`, "rowBytes", most, "see that no bracket or line end is missing", { row });
}
