import { aggregationOf } from "../feature_engineering/aggregations/aggregation-of.ts";
import { needsOrder } from "../feature_engineering/aggregations/needs-order.ts";
import type { ViewLayout } from "../feature_engineering/windows/view-layout.ts";
import { foundBounds } from "./found-from.ts";
import type { HistoricalInputs } from "./historical-inputs.ts";
import type { LabelGroups } from "./label-groups.ts";
import type { PointInTimeReader } from "./offline/point-in-time.ts";
import type { ServiceLookup } from "./service-runtime.ts";
import { viewColumns } from "./view-columns.ts";
import { type FoldFeature, type FoldOutput, type FoldPlan, fillWithoutEvents } from "./window-fold.ts";
import type { WindowFolds } from "./window-folds.ts";

/**
 * Reads any features of a view from columns of events: the store gives the events of some entities at a time, which
 * `folds` reads the labels from. It may still do so when this resolves.
 */
export async function readWindows(
  store: PointInTimeReader,
  lookup: ServiceLookup,
  labels: LabelGroups,
  folds: WindowFolds,
  read: HistoricalInputs,
): Promise<void> {
  const { layout } = lookup.runtime;
  const features = lookup.reads.map(({ feature }) => feature);
  const columns = viewColumns(layout, features);
  const plan: FoldPlan = { features: features.map((feature) => foldOf(layout, feature)), found: foundBounds(layout) };
  const into: FoldOutput = {
    values: lookup.reads.map(({ slot }) => read.values[slot]!),
    statuses: lookup.reads.map(({ slot }) => read.statuses[slot]!),
  };
  fillWithoutEvents(plan, labels, into);
  const shares = store.events({
    source: layout.view.source.name,
    keyColumns: layout.view.keyColumns,
    keys: labels.keys,
    starts: labels.starts,
    times: labels.times,
    reachMs: layout.reachMs,
    columns: columns.columns,
    version: columns.version,
    orders: features.some((feature) => needsOrder(layout.features[feature]!.aggregation.name)),
  });
  for await (const { count, entities, times, orders, columns: values } of shares) {
    const [inputs, wheres] = [columns.inputsOf(values, count), columns.wheresOf(values, count)];
    await folds.add(plan, { count, entities, times, orders, inputs, wheres }, labels, into);
  }
}

function foldOf(layout: ViewLayout, feature: number): FoldFeature {
  const read = layout.features[feature]!;
  const { hopMs, slots } = layout.families[read.family]!;
  const { input, where } = slots[read.slot]!;
  const { aggregation } = layout.view.features[feature]!.aggregate;
  return {
    aggregation,
    squares: aggregationOf(aggregation).state !== read.aggregation.state,
    input,
    where,
    windowMs: read.windowMs,
    hopMs,
    ttlMs: read.ttlMs,
    default: read.default,
  };
}
