import { millraceError } from "../../definitions/errors.ts";
import type { Expression } from "../../definitions/expression.ts";
import type { FeatureServiceMeta } from "../../definitions/feature-service.ts";
import type { ColumnTypeSpec } from "../../definitions/value.ts";

/** One column of a service's row. */
export interface ServiceColumn {
  readonly name: string;
  readonly type: ColumnTypeSpec;
  /** The declared feature that it comes from. */
  readonly feature: string;
}

/**
 * The columns of a service's row, in the order in which models read them: one per feature, and of a transform
 * that makes several (such as a one-hot) each, named `feature_category`.
 *
 * @throws `DEFINITION_INVALID` if two columns have one name, or such a transform is the input of something else.
 */
export function serviceColumns(service: FeatureServiceMeta): readonly ServiceColumn[] {
  for (const { name, expression } of service.features) {
    if (inputsOf(expression).some(makesColumns)) {
      throw millraceError(
        "DEFINITION_INVALID",
        `Feature '${name}' of service '${service.name}' reads a one-hot or another transform that makes several columns: use ordinal() there, or make it a feature of its own.`,
      );
    }
  }
  const columns = service.features.flatMap(({ name, expression }): ServiceColumn[] => {
    const { type } = expression;
    const parts = columnParts(expression);
    return parts === null
      ? [{ name, type, feature: name }]
      : parts.map((part) => ({ name: `${name}_${part}`, type, feature: name }));
  });
  const features = new Map<string, string>();
  for (const column of columns) {
    const other = features.get(column.name);
    if (other !== undefined) {
      throw millraceError(
        "DEFINITION_INVALID",
        `Service '${service.name}' makes the column '${column.name}' of feature '${other}' and of feature '${column.feature}': rename one of them.`,
      );
    }
    features.set(column.name, column.feature);
  }
  return columns;
}

/** What the columns of a transform that makes several are called after the feature's name; null if it makes one. */
export function columnParts(expression: Expression): readonly string[] | null {
  switch (expression.op) {
    case "one_hot":
      return expression.nulls === "category" ? [...expression.categories, "null"] : expression.categories;
    case "target":
      return expression.classes;
    case "index_columns":
      return Array.from({ length: expression.size }, (_, index) => String(index));
    case "hash_columns":
      return Array.from({ length: expression.buckets }, (_, index) => String(index));
    default:
      return null;
  }
}

function makesColumns(expression: Expression): boolean {
  return columnParts(expression) !== null || inputsOf(expression).some(makesColumns);
}

/** The expressions that an expression reads directly. */
export function inputsOf(expression: Expression): readonly Expression[] {
  switch (expression.op) {
    case "column":
    case "request":
    case "feature":
      return [];
    case "derive":
      return Object.values(expression.inputs);
    default:
      return [expression.input];
  }
}
