import type { AggregationSpec } from "../../definitions/aggregation-spec.ts";
import type { EntityMeta } from "../../definitions/entity.ts";
import type { Expression, RowFunction } from "../../definitions/expression.ts";
import type { FeatureServiceMeta } from "../../definitions/feature-service.ts";
import type { FeatureMeta, FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { SourceMeta } from "../../definitions/source.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { Json, JsonObject } from "./json.ts";
import type { Plan } from "./plan.ts";
import type { PlanEntry, ViewEntry } from "./plan-entries.ts";

/** What a plan says, as declarations again. Models stay out: nothing that computes features reads them. */
export interface PlannedDeclarations {
  readonly entities: readonly EntityMeta[];
  readonly sources: readonly SourceMeta[];
  readonly views: readonly FeatureViewMeta[];
  readonly services: readonly FeatureServiceMeta[];
}

/**
 * Makes declarations of a plan: compiled again they give the same plan. `makeFunction` makes a function of its canonical
 * text, which means what the declared one means; only the maker of a plan may run it (the Beam workers do), never one
 * who found it in a store.
 */
export function readPlan(plan: Plan, makeFunction: (source: string) => RowFunction): PlannedDeclarations {
  const entities = plan.entities.map(readEntity);
  const sources = plan.sources.map(readSource);
  const views = plan.views.map((view) =>
    readView(view, named(sources, view.source), named(entities, text(view.entity)), makeFunction),
  );
  return { entities, sources, views, services: plan.services.map((entry) => readService(entry, views, makeFunction)) };
}

function readEntity(entry: PlanEntry): EntityMeta {
  return { kind: "entity", name: entry.name, keys: columns(entry.keys), ...about(entry) };
}

function readSource(entry: PlanEntry): SourceMeta {
  return {
    kind: entry.kind as SourceMeta["kind"],
    name: entry.name,
    connector: entry.connector as unknown as SourceMeta["connector"],
    format: entry.format as unknown as SourceMeta["format"],
    columns: columns(entry.columns),
    eventTime: text(entry.event_time),
    id: entry.id as string | null,
    version: entry.version as string | null,
    ingestedAt: entry.ingested_at as string | null,
    deleted: entry.deleted as string | null,
    clock: entry.clock as SourceMeta["clock"],
    latenessMs: entry.lateness_ms as number,
    futureBoundMs: entry.future_bound_ms as number,
    ...about(entry),
  };
}

function readView(
  entry: ViewEntry,
  source: SourceMeta,
  entity: EntityMeta,
  makeFunction: (source: string) => RowFunction,
): FeatureViewMeta {
  const keys = entry.key_columns as Readonly<Record<string, string>>;
  return {
    kind: "feature_view",
    name: entry.name,
    source,
    entity,
    keyColumns: entity.keys.map((key) => keys[key.name]!),
    features: objects(entry.features).map((feature) => readFeature(feature, source, makeFunction)),
    ...about(entry),
  };
}

function readFeature(json: JsonObject, source: SourceMeta, makeFunction: (source: string) => RowFunction): FeatureMeta {
  const read = (expression: Json | undefined): Expression | null =>
    expression === null ? null : readExpression(expression as JsonObject, { views: [], source, makeFunction });
  const input = read(json.input);
  const type = readType(json.type as JsonObject);
  const { name, n, probabilities, limit, boundaries } = {
    ...json,
    name: json.aggregation,
  } as unknown as AggregationSpec;
  const windowMs = json.window_ms as number | null;
  const ttlMs = json.ttl_ms as number | null;
  return {
    name: text(json.name),
    aggregate: {
      aggregation: {
        name,
        input: input === null ? null : input.type,
        ...(n === undefined ? {} : { n }),
        ...(probabilities === undefined ? {} : { probabilities }),
        ...(limit === undefined ? {} : { limit }),
        ...(boundaries === undefined ? {} : { boundaries }),
      },
      input,
      where: read(json.where),
      windows: windowMs === null ? null : `${windowMs / 1_000}s`,
      ttlMs,
      default: json.default === undefined ? undefined : readValue(json.default),
      type,
    },
    windowMs,
    ttlMs,
    type,
  };
}

function readService(
  entry: PlanEntry,
  views: readonly FeatureViewMeta[],
  makeFunction: (source: string) => RowFunction,
): FeatureServiceMeta {
  return {
    kind: "feature_service",
    name: entry.name,
    features: objects(entry.features).map((feature) => ({
      name: text(feature.name),
      expression: readExpression(feature.expression as JsonObject, { views, source: null, makeFunction }),
    })),
    views: (entry.views as readonly string[]).map((view) => named(views, view)),
    lookup: objects(entry.lookup).map(({ name, role, type }) => ({
      name: text(name),
      type: readType(type as JsonObject),
      role: role as "key" | "request",
    })),
    ...about(entry),
  };
}

interface ExpressionScope {
  readonly views: readonly FeatureViewMeta[];
  readonly source: SourceMeta | null;
  readonly makeFunction: (source: string) => RowFunction;
}

function readExpression(json: JsonObject, scope: ExpressionScope): Expression {
  const type = readType(json.type as JsonObject);
  const input = (): Expression => readExpression(json.input as JsonObject, scope);
  switch (json.op) {
    case "column":
      return { op: "column", source: text(json.source), column: text(json.column), type };
    case "request":
      return { op: "request", column: text(json.column), type };
    case "feature": {
      const keys = json.keys as Readonly<Record<string, string>>;
      return { op: "feature", view: named(scope.views, text(json.view)), feature: text(json.feature), type, keys };
    }
    case "derive": {
      const inputs = Object.entries(json.inputs as JsonObject).map(
        ([name, expression]) => [name, readExpression(expression as JsonObject, scope)] as const,
      );
      return { op: "derive", inputs: Object.fromEntries(inputs), fn: scope.makeFunction(text(json.function)), type };
    }
    case "fill":
      return { op: "fill", input: input(), value: readValue(json.value!), type };
    default: {
      const { label, ...parameters } = json;
      const rest = { ...parameters, input: input(), type };
      if (label === undefined) return rest as unknown as Expression;
      const { name, type: labelType } = label as JsonObject;
      return { ...rest, label: { name, type: readType(labelType as JsonObject) } } as unknown as Expression;
    }
  }
}

function readType(json: JsonObject): ColumnTypeSpec {
  const { values, item } = json;
  return {
    kind: json.kind as ColumnTypeSpec["kind"],
    nullable: json.nullable === true,
    ...(values === undefined ? {} : { values: values as readonly string[] }),
    ...(item === undefined ? {} : { item: readType(item as JsonObject) }),
  };
}

function readValue(json: Json): Value {
  if (Array.isArray(json)) return json.map(readValue);
  if (typeof json !== "object" || json === null) return json as Value;
  const { $int64, $timestamp } = json as JsonObject;
  return $int64 === undefined ? ($timestamp as number) : BigInt(text($int64));
}

function columns(json: Json | undefined): readonly { readonly name: string; readonly type: ColumnTypeSpec }[] {
  return objects(json).map(({ name, type }) => ({ name: text(name), type: readType(type as JsonObject) }));
}

function about(entry: PlanEntry): Pick<EntityMeta, "description" | "owner" | "tags"> {
  return {
    description: text(entry.description),
    owner: text(entry.owner),
    tags: entry.tags as Readonly<Record<string, string>>,
  };
}

/** The plan's makers sorted the lists and put every name in. */
function named<Item extends { readonly name: string }>(list: readonly Item[], name: string): Item {
  return list.find((item) => item.name === name)!;
}

function objects(json: Json | undefined): readonly JsonObject[] {
  return json as readonly JsonObject[];
}

function text(json: Json | undefined): string {
  return json as string;
}
