import type { Expression } from "../definitions/expression.ts";
import type { FeatureServiceMeta } from "../definitions/feature-service.ts";
import type { SourceMeta } from "../definitions/source.ts";
import { serviceHash } from "../feature_engineering/plan/plan-hash.ts";
import { type CompiledRow, compileRow } from "../feature_engineering/transforms/compile-row.ts";
import { type ViewLookup, viewLookups } from "../feature_engineering/transforms/view-lookups.ts";
import { compileLookup, type LookupReader } from "./lookup.ts";
import type { ViewRuntime } from "./view-runtime.ts";

/** One view as a service looks it up, compiled. */
export interface ServiceLookup extends Omit<ViewLookup, "view"> {
  readonly runtime: ViewRuntime;
}

/** A service compiled: how its lookups are read, which values they need, how the row is made of them. */
export interface ServiceRuntime {
  readonly service: FeatureServiceMeta;
  readonly hash: string;
  readonly readLookup: LookupReader;
  readonly row: CompiledRow;
  readonly lookups: readonly ServiceLookup[];
  readonly requests: readonly { readonly index: number; readonly slot: number }[];
  /** Per input slot the view that it is read from; null for a request column. */
  readonly inputViews: readonly (string | null)[];
  /** How many input slots a row has. */
  readonly inputCount: number;
  /** Per output column, the input slot whose status it has; −1 if it is computed from several. */
  readonly statusSlots: readonly number[];
  /** Per output column, all input slots that it is computed from. */
  readonly computedFrom: readonly (readonly number[])[];
  /** Per output column the lookup and the feature of its view that it is, unchanged; null if it is computed or a request column. */
  readonly columnReads: readonly ({ readonly lookup: number; readonly feature: number } | null)[];
  /** The rows are the inputs as they are: every column is a view's feature, in the order of the slots. */
  readonly isPlain: boolean;
  /** The inputs are all the features of one view, in its order. */
  readonly isWholeView: boolean;
  readonly sources: readonly SourceMeta[];
}

export function createServiceRuntime(
  service: FeatureServiceMeta,
  runtimeOf: (view: string) => ViewRuntime,
  onFailure: (feature: string) => void = () => {},
): ServiceRuntime {
  const row = compileRow(service, { onFailure });
  const indexOf = new Map(service.lookup.map((column, index) => [column.name, index]));
  const lookups = viewLookups(row).map(({ view, ...lookup }) => ({ runtime: runtimeOf(view.name), ...lookup }));
  const requests = row.requestInputs.map((input) => ({ index: indexOf.get(input.name)!, slot: input.slot }));
  const slots = statusSlots(row);
  const reads = lookups.flatMap((one, lookup) => one.reads.map(({ feature, slot }) => ({ lookup, feature, slot })));
  const columnReads = row.columns.map((column, index) => {
    const direct = service.features.find((one) => one.name === column.feature)?.expression.op === "feature";
    return direct ? (reads.find(({ slot }) => slot === slots[index]) ?? null) : null;
  });
  return {
    service,
    hash: serviceHash(service),
    readLookup: compileLookup(service),
    row,
    lookups,
    requests,
    inputViews: inputViews(row),
    inputCount: row.featureInputs.length + row.requestInputs.length,
    statusSlots: slots,
    computedFrom: row.columns.map((column) => {
      const feature = service.features.find((f) => f.name === column.feature);
      return feature === undefined ? [] : slotsIn(row, feature.expression);
    }),
    columnReads,
    isWholeView:
      lookups.length === 1 &&
      requests.length === 0 &&
      reads.length === row.featureInputs[0]!.view.features.length &&
      reads.every(({ feature, slot }) => feature === slot),
    isPlain: requests.length === 0 && columnReads.every((read, index) => read?.slot === index),
    sources: [...new Map(service.views.map((view) => [view.source.name, view.source])).values()],
  };
}

function inputViews(row: CompiledRow): (string | null)[] {
  const views = new Array<string | null>(row.featureInputs.length + row.requestInputs.length).fill(null);
  for (const input of row.featureInputs) views[input.slot] = input.view.name;
  return views;
}

/** A column has the status of the one feature that it reads; a computed one is PRESENT or NULL_VALUE by its value. */
function statusSlots(row: CompiledRow): number[] {
  return row.columns.map((column) => {
    const feature = row.service.features.find((f) => f.name === column.feature);
    let expression = feature?.expression;
    while (expression !== undefined && "input" in expression) expression = expression.input;
    return expression?.op === "feature" ? slotOf(row, expression) : -1;
  });
}

function slotOf(row: CompiledRow, { view, feature, keys }: Extract<Expression, { op: "feature" }>): number {
  return row.featureInputs.findIndex(
    (input) =>
      input.view === view && input.feature === feature && Object.entries(keys).every(([k, v]) => input.keys[k] === v),
  );
}

function slotsIn(row: CompiledRow, expression: Expression): number[] {
  if (expression.op === "feature") return [slotOf(row, expression)];
  if (expression.op === "derive") return Object.values(expression.inputs).flatMap((input) => slotsIn(row, input));
  return "input" in expression ? slotsIn(row, expression.input) : [];
}
