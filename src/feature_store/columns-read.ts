import type { Expression } from "../definitions/expression.ts";
import type { FeatureMeta, FeatureViewMeta } from "../definitions/feature-view.ts";

/** The columns of its source that a feature of a view reads: its input and its `where`, through derives. Sorted. */
function columnsOfFeature({ aggregate }: FeatureMeta): string[] {
  const columns = new Set<string>();
  for (const expression of [aggregate.input, aggregate.where]) if (expression !== null) collect(expression, columns);
  return [...columns].sort();
}

/** Every column of its source that a view's values depend on: keys, inputs, predicates, and the `deleted` column. */
export function columnsOfView(view: FeatureViewMeta): ReadonlySet<string> {
  const columns = new Set([...view.keyColumns, ...view.features.flatMap(columnsOfFeature)]);
  if (view.source.deleted !== null) columns.add(view.source.deleted);
  return columns;
}

function collect(expression: Expression, columns: Set<string>): void {
  if (expression.op === "column") columns.add(expression.column);
  else if (expression.op === "derive") for (const input of Object.values(expression.inputs)) collect(input, columns);
  else if ("input" in expression) collect(expression.input, columns);
}
