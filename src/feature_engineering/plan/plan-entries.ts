import type { EntityMeta } from "../../definitions/entity.ts";
import type { FeatureServiceMeta } from "../../definitions/feature-service.ts";
import type { FeatureMeta, FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import type { OutcomeMeta } from "../../definitions/outcome.ts";
import type { SourceMeta } from "../../definitions/source.ts";
import type { ColumnTypeSpec } from "../../definitions/value.ts";
import type { JsonObject } from "./json.ts";
import { aggregationParameters, planExpression, planType, planValue } from "./plan-expression.ts";
import { serviceHash, viewHash, viewStateHash, viewVersion } from "./plan-hash.ts";
import { serviceColumns } from "./service-columns.ts";

/** An entry of a plan: plain JSON with a name. */
export interface PlanEntry extends JsonObject {
  readonly name: string;
}

export function planEntity(entity: EntityMeta): PlanEntry {
  return { name: entity.name, keys: columns(entity.keys), ...about(entity) };
}

export function planSource(source: SourceMeta): PlanEntry {
  return {
    name: source.name,
    kind: source.kind,
    connector: planValue(source.connector),
    format: planValue(source.format),
    columns: columns(source.columns),
    event_time: source.eventTime,
    id: source.id,
    version: source.version,
    ingested_at: source.ingestedAt,
    deleted: source.deleted,
    clock: source.clock,
    lateness_ms: source.latenessMs,
    future_bound_ms: source.futureBoundMs,
    ...about(source),
  };
}

export interface ViewEntry extends PlanEntry {
  /** The hash of what is stored. */
  readonly state_hash: string;
  /** The key space in the hot store: `name@…`. */
  readonly version: string;
  readonly source: string;
}

/** The features are sorted by name. */
export function planView(view: FeatureViewMeta): ViewEntry {
  return {
    name: view.name,
    source: view.source.name,
    entity: view.entity.name,
    key_columns: Object.fromEntries(view.entity.keys.map((key, index) => [key.name, view.keyColumns[index]!])),
    features: [...view.features].sort(byName).map((feature) => planFeature(view, feature)),
    ...about(view),
    hash: viewHash(view),
    state_hash: viewStateHash(view),
    version: viewVersion(view),
  };
}

function planFeature(view: FeatureViewMeta, feature: FeatureMeta): JsonObject {
  const where = `view '${view.name}', feature '${feature.name}'`;
  const { aggregation, input, where: predicate, default: fallback } = feature.aggregate;
  return {
    name: feature.name,
    aggregation: aggregation.name,
    ...aggregationParameters(aggregation),
    input: input === null ? null : planExpression(input, where),
    where: predicate === null ? null : planExpression(predicate, where),
    window_ms: feature.windowMs,
    ttl_ms: feature.ttlMs,
    ...(fallback === undefined ? {} : { default: planValue(fallback) }),
    type: planType(feature.type),
  };
}

/** The features and columns are in the row's order. */
export function planService(service: FeatureServiceMeta): PlanEntry {
  return {
    name: service.name,
    features: service.features.map((feature) => ({
      name: feature.name,
      expression: planExpression(feature.expression, `service '${service.name}', feature '${feature.name}'`),
    })),
    columns: columns(serviceColumns(service)),
    lookup: [...service.lookup].sort(byName).map(({ name, type, role }) => ({ name, role, type: planType(type) })),
    views: service.views.map((view) => view.name).sort(),
    ...about(service),
    hash: serviceHash(service),
  };
}

export function planModel(model: ModelMeta): PlanEntry {
  return {
    name: model.name,
    service: model.service.name,
    output: columns(model.output),
    location: planValue(model.location),
    timeout_ms: model.timeoutMs,
    fallback: planValue(model.fallback),
    ...(model.logSampleRate === 0 ? {} : { log_sample_rate: model.logSampleRate }),
    ...(model.logRedact.length === 0 ? {} : { log_redact: [...model.logRedact].sort() }),
    ...about(model),
  };
}

export function planOutcome(outcome: OutcomeMeta): PlanEntry {
  const where = `outcome '${outcome.name}'`;
  const { keys, predictionId } = outcome;
  return {
    name: outcome.name,
    model: outcome.model.name,
    source: outcome.source.name,
    keys:
      keys === null ? null : Object.fromEntries(keys.map(({ name, value }) => [name, planExpression(value, where)])),
    prediction_id: predictionId === null ? null : planExpression(predictionId, where),
    label: planExpression(outcome.label, where),
    predicted: planValue(outcome.predicted),
    within_ms: outcome.withinMs,
    take: outcome.take,
    ...(outcome.otherwise === null ? {} : { otherwise: planValue(outcome.otherwise) }),
    windows_ms: outcome.windows.map(({ ms }) => ms),
    bounds: planValue(outcome.bounds),
    ...about(outcome),
  };
}

function columns(list: readonly { readonly name: string; readonly type: ColumnTypeSpec }[]): readonly PlanEntry[] {
  return list.map(({ name, type }) => ({ name, type: planType(type) }));
}

function about(meta: {
  readonly description: string;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
}): JsonObject {
  return { description: meta.description, owner: meta.owner, tags: { ...meta.tags } };
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
