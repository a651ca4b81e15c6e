import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import { viewVersion } from "../feature_engineering/plan/plan-hash.ts";
import {
  compileEventExpression,
  compilePredicate,
} from "../feature_engineering/transforms/compile-event-expression.ts";
import { compileViewLayout, type ViewLayout } from "../feature_engineering/windows/view-layout.ts";

/** A view compiled, with the key space of its version. */
export interface ViewRuntime {
  readonly layout: ViewLayout;
  /** The view's version: its name and the hash of what it stores. */
  readonly keyspace: string;
}

/** `onFailure` is called each time a derive or where function of the view fails on an event. */
export function createViewRuntime(view: FeatureViewMeta, onFailure: (view: string) => void = () => {}): ViewRuntime {
  const columns = new Map(view.source.columns.map((column, index) => [column.name, index]));
  return {
    keyspace: viewVersion(view),
    layout: compileViewLayout(view, (expression, role) => {
      const compile = role === "where" ? compilePredicate : compileEventExpression;
      return compile(expression, columns, () => onFailure(view.name));
    }),
  };
}
