import type { Expression } from "../../definitions/expression.ts";
import type { FeatureMeta, FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { Value } from "../../definitions/value.ts";
import type { EventOrder } from "../aggregations/aggregation.ts";
import { windowStart } from "./hop.ts";
import { naiveAggregate } from "./naive-aggregate.ts";
import type { FeatureStatus } from "./read-features.ts";
import type { RowEvaluator } from "./view-layout.ts";

/** An event as the oracle sees it: where it stands, and its row. */
export interface NaiveEvent extends EventOrder {
  readonly row: readonly Value[];
}

/**
 * The oracle: the values of a view's features at `time` by the definition alone, from all events of one entity (its
 * key columns are the caller's to match). No tiles, no merging, no order; slow and obvious.
 */
export function naiveFeatures(
  view: FeatureViewMeta,
  compile: (expression: Expression) => RowEvaluator,
  events: readonly NaiveEvent[],
  time: number,
): { values: Value[]; statuses: FeatureStatus[] } {
  const past = events.filter((event) => event.eventTime < time);
  const found = past.some((event) => view.features.some((feature) => event.eventTime >= reach(feature, time, 2)));
  const read = view.features.map((feature): [Value, FeatureStatus] => {
    const { aggregation, input, where, default: fallback } = feature.aggregate;
    const facts = past.filter(
      (event) => isDeleted(view, event) || where === null || compile(where)(event.row) === true,
    );
    const factOf = (event: NaiveEvent): Value =>
      input === null || isDeleted(view, event) ? null : compile(input)(event.row);
    const at = Math.max(...facts.map((event) => event.eventTime));
    const outside = feature.ttlMs !== null && at < reach(feature, time, 1) && at >= reach(feature, time, 2);
    const valid = facts.filter((event) =>
      feature.windowMs === null ? at >= reach(feature, time, 1) : event.eventTime >= reach(feature, time, 1),
    );
    const value = naiveAggregate(
      aggregation,
      valid.map((event) => ({ value: factOf(event), order: event })),
    );
    const status = !found ? "NOT_FOUND" : outside ? "OUTSIDE_MAX_AGE" : value === null ? "NULL_VALUE" : "PRESENT";
    return [value === null && fallback !== undefined ? fallback : value, status];
  });
  return { values: read.map(([value]) => value), statuses: read.map(([, status]) => status) };
}

/** The earliest event time that counts: of a window, or of `ages` times a ttl. */
function reach(feature: FeatureMeta, time: number, ages: number): number {
  if (feature.windowMs !== null) return windowStart(time, feature.windowMs);
  return feature.ttlMs === null ? Number.NEGATIVE_INFINITY : time - ages * feature.ttlMs;
}

function isDeleted(view: FeatureViewMeta, event: NaiveEvent): boolean {
  const index = view.source.columns.findIndex((column) => column.name === view.source.deleted);
  return index >= 0 && event.row[index] === true;
}
