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
 * The columns of a service's row, in the order in which models read them: one per feature, and of a one-hot one per
 * category, named `feature_category`.
 *
 * @throws `DEFINITION_INVALID` if two columns have one name, or a one-hot is the input of something else.
 */
export function serviceColumns(service: FeatureServiceMeta): readonly ServiceColumn[] {
  for (const { name, expression } of service.features) {
    if (inputsOf(expression).some(hasOneHot)) {
      throw millraceError(
        "DEFINITION_INVALID",
        `Feature '${name}' of service '${service.name}' reads a one-hot, which makes several columns: use ordinal() there, or make the one-hot a feature of its own.`,
      );
    }
  }
  const columns = service.features.flatMap(({ name, expression }): ServiceColumn[] =>
    expression.op === "one_hot"
      ? expression.categories.map((category) => ({ name: `${name}_${category}`, type: expression.type, feature: name }))
      : [{ name, type: expression.type, feature: name }],
  );
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

function hasOneHot(expression: Expression): boolean {
  return expression.op === "one_hot" || inputsOf(expression).some(hasOneHot);
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
