import type { ColumnType } from "./column-type.ts";
import { millraceError } from "./errors.ts";
import type { LabelMeta } from "./expression.ts";
import { checkName } from "./names.ts";

/** A label, which transforms such as `target` learn from; `T` is its type. */
export interface Label<out T> {
  readonly label: LabelMeta;
  readonly "~label"?: T;
}

/**
 * Declares a column that comes with the rows of a training set and never with a request: what the model is to predict.
 * A number, a bool or a `oneOf`; rows whose label is null teach nothing.
 */
export function label<T extends number | bigint | boolean | string | null>(
  name: string,
  type: ColumnType<T>,
): Label<T> {
  checkName("a label", name);
  if (!["float64", "int32", "int64", "bool", "one_of"].includes(type.spec.kind)) {
    throw millraceError(
      "DEFINITION_INVALID",
      `label('${name}') cannot be a ${type.spec.kind}: a label is a number, a bool, or one of listed texts (t.oneOf).`,
    );
  }
  return Object.freeze({ label: Object.freeze({ name, type: type.spec }) });
}
