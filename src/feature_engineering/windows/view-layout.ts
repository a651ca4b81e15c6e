import type { AggregationSpec } from "../../definitions/aggregation-spec.ts";
import type { Expression } from "../../definitions/expression.ts";
import type { FeatureMeta, FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { Aggregation } from "../aggregations/aggregation.ts";
import { aggregationOf } from "../aggregations/aggregation-of.ts";
import { type FirstState, latestOfFirst } from "../aggregations/first.ts";
import { type LastNState, lastNEventTime } from "../aggregations/last-n.ts";
import { type LatestState, latestEventTime } from "../aggregations/latest.ts";
import { expressionKey } from "../plan/plan-hash.ts";
import { hopOf } from "./hop.ts";

/** One aggregation state of a tile: features that differ only in window or in how they finish share it. */
export interface Slot {
  readonly aggregation: Aggregation;
  /** Index of the event input that is aggregated; −1 for none (`count`). */
  readonly input: number;
  /** Index of the predicate; −1 for none. */
  readonly where: number;
}

/** The tiles of one size. Family 0 of a view may be the lifetime family: one tile for all of the past. */
export interface TileFamily {
  /** Milliseconds; 0 for the lifetime family. */
  readonly hopMs: number;
  readonly slots: readonly Slot[];
  /** The longest window, or twice the longest ttl, that reads it; Infinity if it is kept for ever. Milliseconds. */
  readonly reachMs: number;
}

/** How one feature is read from the tiles. */
export interface FeatureRead {
  readonly name: string;
  readonly family: number;
  readonly slot: number;
  readonly aggregation: Aggregation;
  /** Milliseconds; null for all of the past. */
  readonly windowMs: number | null;
  readonly ttlMs: number | null;
  readonly default: Value | undefined;
  /** The event time of the latest event of a lifetime value, for its ttl. */
  readonly eventTimeOf: ((state: unknown) => number | null) | null;
}

/** Evaluates an expression over a source's row. */
export type RowEvaluator = (row: readonly Value[]) => Value;

/** A view compiled: what to compute from an event, where to keep it, how to read it. */
export interface ViewLayout {
  readonly view: FeatureViewMeta;
  /** Indexes of the key columns in the source's row, in the entity's order. */
  readonly keyIndexes: readonly number[];
  readonly keyTypes: readonly ColumnTypeSpec[];
  readonly inputs: readonly RowEvaluator[];
  readonly wheres: readonly RowEvaluator[];
  /** Index of a table source's `deleted` column; −1 if there is none. */
  readonly deletedIndex: number;
  readonly families: readonly TileFamily[];
  /** In the order of `view.features`. */
  readonly features: readonly FeatureRead[];
  /** How far behind the source's clock an entity's value is of use; Infinity if for ever. Milliseconds. */
  readonly reachMs: number;
  readonly futureBoundMs: number;
}

/** Turns a column or an event derive into an evaluator over the source's row. */
export type CompileForRow = (expression: Expression, role: "input" | "where") => RowEvaluator;

/** Compiles a view. */
export function compileViewLayout(view: FeatureViewMeta, compile: CompileForRow): ViewLayout {
  const columnIndex = (name: string): number => view.source.columns.findIndex((column) => column.name === name);
  const inputs: Expression[] = [];
  const wheres: Expression[] = [];
  const families: { hopMs: number; slots: (Slot & { key: string })[]; reachMs: number }[] = [];
  const needSquares = new Set(view.features.filter(isSpread).map((feature) => momentsKey(view, feature)));

  // Slots are given out in the order of the names: the order of declaration is not part of the view's hash.
  const inOrder = [...view.features].sort((a, b) => (a.name < b.name ? -1 : 1));
  const reads = new Map<string, FeatureRead>();
  for (const feature of inOrder) {
    const { aggregate, windowMs, ttlMs } = feature;
    const aggregation = aggregationOf(aggregate.aggregation, { squares: needSquares.has(momentsKey(view, feature)) });
    const hopMs = windowMs === null ? 0 : hopOf(windowMs);
    const input = indexOf(view, inputs, aggregate.input);
    const where = indexOf(view, wheres, aggregate.where);
    let family = families.findIndex((f) => f.hopMs === hopMs);
    if (family < 0) family = families.push({ hopMs, slots: [], reachMs: 0 }) - 1;
    const tiles = families[family]!;
    tiles.reachMs = Math.max(tiles.reachMs, windowMs ?? reachOf(aggregate.aggregation, ttlMs));
    const key = `${aggregation.state}|${input}|${where}`;
    let slot = tiles.slots.findIndex((s) => s.key === key);
    if (slot < 0) slot = tiles.slots.push({ aggregation, input, where, key }) - 1;
    reads.set(feature.name, {
      name: feature.name,
      family,
      slot,
      aggregation,
      windowMs,
      ttlMs,
      default: aggregate.default,
      eventTimeOf: eventTimeReader(aggregate.aggregation),
    });
  }

  return {
    view,
    keyIndexes: view.keyColumns.map(columnIndex),
    keyTypes: view.entity.keys.map((key) => key.type),
    inputs: inputs.map((input) => compile(input, "input")),
    wheres: wheres.map((where) => compile(where, "where")),
    deletedIndex: view.source.deleted === null ? -1 : columnIndex(view.source.deleted),
    families,
    features: view.features.map((feature) => reads.get(feature.name)!),
    reachMs: Math.max(...families.map((f) => f.reachMs + f.hopMs)),
    futureBoundMs: view.source.futureBoundMs,
  };
}

function isSpread(feature: FeatureMeta): boolean {
  return feature.aggregate.aggregation.name === "variance" || feature.aggregate.aggregation.name === "stddev";
}

/** Features with equal keys could share one state of moments. */
function momentsKey(view: FeatureViewMeta, feature: FeatureMeta): string {
  const { aggregate, windowMs } = feature;
  return `${windowMs === null ? 0 : hopOf(windowMs)}|${identity(view, aggregate.input)}|${identity(view, aggregate.where)}`;
}

/**
 * Equal for expressions that compute the same, by their canonical plan: so the layout is a function of the view's hash,
 * however the declaration was written.
 */
function identity(view: FeatureViewMeta, expression: Expression | null): string {
  return expression === null ? "" : expressionKey(expression, `view '${view.name}'`);
}

function indexOf(view: FeatureViewMeta, list: Expression[], expression: Expression | null): number {
  if (expression === null) return -1;
  const key = identity(view, expression);
  const found = list.findIndex((known) => identity(view, known) === key);
  return found >= 0 ? found : list.push(expression) - 1;
}

/** How far back a value without a window may look; of `first` and `last_n` a ttl limits the latest event alone. */
function reachOf(spec: AggregationSpec, ttlMs: number | null): number {
  return ttlMs === null || spec.name !== "latest" ? Number.POSITIVE_INFINITY : 2 * ttlMs;
}

/** How the event time of the latest event is read from a state of such a value; null for other aggregations. */
export function eventTimeReader(spec: AggregationSpec): ((state: unknown) => number | null) | null {
  if (spec.name === "latest") return (state) => latestEventTime(state as LatestState);
  if (spec.name === "last_n") return (state) => lastNEventTime(state as LastNState);
  if (spec.name === "first") return (state) => latestOfFirst(state as FirstState);
  return null;
}
