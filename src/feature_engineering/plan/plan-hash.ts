import type { Expression } from "../../definitions/expression.ts";
import type { FeatureServiceMeta } from "../../definitions/feature-service.ts";
import type { FeatureMeta, FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { SourceMeta } from "../../definitions/source.ts";
import type { ColumnTypeSpec } from "../../definitions/value.ts";
import { functionSource } from "./function-source.ts";
import { canonicalText, hashJson, type Json, type JsonObject } from "./json.ts";
import { aggregationParameters, planValue, transformParameters } from "./plan-expression.ts";

/** Changes when Millrace itself computes rows in another way, so that no old value is read as a new one. */
const FORMAT = 1;
/** The same for what is stored of a view: the format of its packed values. */
const STATE_FORMAT = 2;

const viewStateHashes = new WeakMap<FeatureViewMeta, string>();
const viewHashes = new WeakMap<FeatureViewMeta, string>();
const serviceHashes = new WeakMap<FeatureServiceMeta, string>();

/**
 * The hash of what a view stores: its source's name, kind, clock and roles, key types and columns, and per feature (by
 * name, in whatever order they are declared) the aggregation, its input and `where`, window and ttl (which says how
 * long the latest event is kept). Not: defaults, descriptions, owners, tags, the connector, lateness, unread columns.
 * 32 hex digits.
 */
export function viewStateHash(view: FeatureViewMeta): string {
  return memo(viewStateHashes, view, () =>
    hashJson({
      format: STATE_FORMAT,
      name: view.name,
      source: sourceState(view.source),
      keys: keyState(view),
      features: byName(view.features.map((feature) => [feature.name, featureState(view, feature)])),
    }),
  );
}

/** The hash of everything that changes a view's values: what it stores, and the defaults that are applied when read. */
export function viewHash(view: FeatureViewMeta): string {
  return memo(viewHashes, view, () =>
    hashJson({
      state: viewStateHash(view),
      defaults: byName(
        view.features
          .filter((feature) => feature.aggregate.default !== undefined)
          .map((feature) => [feature.name, planValue(feature.aggregate.default)]),
      ),
    }),
  );
}

/** A view's key space in the hot store: `name@` and the first 12 digits of its {@link viewStateHash}. */
export function viewVersion(view: FeatureViewMeta): string {
  return `${view.name}@${viewStateHash(view).slice(0, 12)}`;
}

/**
 * The hash of everything that changes a service's rows: its columns in order, their transforms, and of the views only
 * the features that it reads (so a feature added to a view changes no service). 32 hex digits.
 */
export function serviceHash(service: FeatureServiceMeta): string {
  return memo(serviceHashes, service, () =>
    hashJson({
      format: FORMAT,
      name: service.name,
      features: service.features.map((feature) => ({
        name: feature.name,
        expression: valueExpression(feature.expression, `service '${service.name}', feature '${feature.name}'`),
      })),
    }),
  );
}

/**
 * A text that is equal for expressions that surely compute the same: equal columns, and derives of equal inputs, types
 * and normalised functions, even if they are different objects. `where` says in errors whose function is not pure.
 */
export function expressionKey(expression: Expression, where: string): string {
  return canonicalText(valueExpression(expression, where));
}

function memo<Key extends object>(hashes: WeakMap<Key, string>, key: Key, compute: () => string): string {
  const known = hashes.get(key);
  if (known !== undefined) return known;
  const hash = compute();
  hashes.set(key, hash);
  return hash;
}

function byName(entries: readonly (readonly [string, Json])[]): JsonObject {
  return Object.fromEntries(entries);
}

function sourceState(source: SourceMeta): JsonObject {
  const role = (name: string | null): Json => (name === null ? null : columnState(source, name));
  return {
    name: source.name,
    kind: source.kind,
    clock: source.clock,
    event_time: source.eventTime,
    id: role(source.id),
    version: role(source.version),
    ingested_at: role(source.ingestedAt),
    deleted: role(source.deleted),
  };
}

function columnState(source: SourceMeta, name: string): JsonObject {
  const column = source.columns.find((c) => c.name === name);
  return { column: name, type: column === undefined ? null : columnType(column.type) };
}

function keyState(view: FeatureViewMeta): Json {
  return view.entity.keys.map((key, index) => ({ type: key.type.kind, column: view.keyColumns[index]! }));
}

function featureState(view: FeatureViewMeta, feature: FeatureMeta): JsonObject {
  const where = `view '${view.name}', feature '${feature.name}'`;
  const { aggregation, input, where: predicate } = feature.aggregate;
  return {
    aggregation: aggregation.name,
    n: null,
    ...aggregationParameters(aggregation),
    input: input === null ? null : valueExpression(input, where),
    where: predicate === null ? null : valueExpression(predicate, where),
    window_ms: feature.windowMs,
    ttl_ms: feature.ttlMs,
  };
}

/**
 * A source column's type as far as it changes values: that nulls or more categories became possible does not change
 * those that are there.
 */
function columnType(type: ColumnTypeSpec): JsonObject {
  return { kind: type.kind, ...(type.item === undefined ? {} : { item: columnType(type.item) }) };
}

/** A derive's type, against which each result is checked. */
function resultType(type: ColumnTypeSpec): JsonObject {
  return {
    kind: type.kind,
    ...(type.values === undefined ? {} : { values: [...type.values].sort() }),
    ...(type.item === undefined ? {} : { item: { ...resultType(type.item), nullable: type.item.nullable } }),
  };
}

function valueExpression(expression: Expression, where: string): JsonObject {
  switch (expression.op) {
    case "column":
      return { op: "column", column: expression.column, type: columnType(expression.type) };
    case "request":
      return { op: "request", column: expression.column, type: columnType(expression.type) };
    case "feature": {
      const { view } = expression;
      const feature = view.features.find((f) => f.name === expression.feature);
      return {
        op: "feature",
        source: sourceState(view.source),
        keys: keyState(view),
        lookup: view.entity.keys.map((key) => expression.keys[key.name] ?? key.name),
        feature: feature === undefined ? null : featureState(view, feature),
        default: planValue(feature?.aggregate.default),
      };
    }
    case "derive":
      return {
        op: "derive",
        inputs: byName(Object.entries(expression.inputs).map(([name, input]) => [name, valueExpression(input, where)])),
        function: functionSource(expression.fn, where).source,
        type: resultType(expression.type),
      };
    case "fill":
      return { op: "fill", input: valueExpression(expression.input, where), value: planValue(expression.value) };
    case "numeric":
      return {
        op: "numeric",
        input: valueExpression(expression.input, where),
        steps: expression.steps.map((step) => ({ ...step })),
      };
    default:
      return { ...transformParameters(expression), input: valueExpression(expression.input, where) };
  }
}
