import type { FittedTarget, FittedTransform } from "../../transforms/fitted-state.ts";

/** What the workers must know of a job that fits a service: plain JSON, made by the launcher. */
export interface FitSettings {
  readonly service: string;
  /** The columns of the lookup, in the frame's order: a plan has its own. */
  readonly lookup: readonly string[];
  readonly knowledge: "event_time" | "ingested_at";
  /** How many rows the training frame has. */
  readonly rows: number;
  /** The least and the greatest t of them, epoch milliseconds. */
  readonly first: number;
  readonly last: number;
  /** Every k-th row counts for the profile; null: there is none to be made. */
  readonly profileEvery: number | null;
}

/** What a job that fits leaves, a line of JSON each, in no order. */
export type FitLine =
  | FittedLine
  | { readonly column: number; readonly profile: unknown }
  | { readonly problem: FitProblem };

/** A transform, by its index in `CompiledRow.fits`. Null: it could not be fitted, for which there is a problem too. */
export interface FittedLine {
  readonly fit: number;
  readonly transform: FittedTransform | null;
  /** Where the training set's own rows get something else: by fold. */
  readonly folds: readonly FittedTarget[] | null;
}

/** An error with its stable code. */
export interface FitProblem {
  readonly code: string;
  readonly message: string;
}
