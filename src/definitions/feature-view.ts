import type { Agg, AggregateMeta } from "./aggregate.ts";
import type { InferSchema, Schema } from "./column-type.ts";
import { type Duration, durationMs } from "./duration.ts";
import type { Entity, EntityMeta } from "./entity.ts";
import { millraceError } from "./errors.ts";
import { type Expr, type Expression, expr } from "./expression.ts";
import { Meta } from "./meta.ts";
import { checkName } from "./names.ts";
import type { AnySource, SourceMeta } from "./source.ts";
import type { Simplify, TypeProblem, UnionToIntersection } from "./type-problem.ts";
import type { ColumnTypeSpec } from "./value.ts";

/** One feature of a view: one aggregation over one window. */
export interface FeatureMeta {
  readonly name: string;
  readonly aggregate: AggregateMeta;
  /** Milliseconds; null for all of the past. */
  readonly windowMs: number | null;
  /** Milliseconds; null for no age limit. Only features without a window have one. */
  readonly ttlMs: number | null;
  readonly type: ColumnTypeSpec;
}

export interface FeatureViewMeta {
  readonly kind: "feature_view";
  readonly name: string;
  readonly source: SourceMeta;
  readonly entity: EntityMeta;
  /** The source column of each entity key, in the entity's order. */
  readonly keyColumns: readonly string[];
  readonly features: readonly FeatureMeta[];
  readonly description: string;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
}

type Expand<K extends string, A> =
  A extends Agg<infer T, string, infer W>
    ? W extends readonly (infer X extends string)[]
      ? { [P in X as `${K}_${P}`]: T }
      : { [P in K]: T }
    : never;
export type FeaturesOf<F> = Simplify<
  UnionToIntersection<{ [K in keyof F & string]: Expand<K, F[K]> }[keyof F & string]>
>;

type SchemaOf<Src> = Src extends { readonly "~source"?: { readonly schema: infer C extends Schema } } ? C : never;
type NameOf<Src> = Src extends { readonly "~source"?: { readonly name: infer N } } ? N : never;
type EntityKeys<E> = E extends { readonly "~entity"?: { readonly keys: infer K extends Schema } }
  ? InferSchema<K>
  : never;
type EntityName<E> = E extends { readonly "~entity"?: { readonly name: infer N extends string } } ? N : never;

type CheckKeys<Src, E> = {
  [K in keyof EntityKeys<E>]: K extends keyof SchemaOf<Src>
    ? NonNullable<InferSchema<SchemaOf<Src>>[K]> extends EntityKeys<E>[K]
      ? K
      : never
    : never;
}[keyof EntityKeys<E>] extends infer Found
  ? [keyof EntityKeys<E>] extends [Found]
    ? unknown
    : {
        readonly entity: TypeProblem<`the source has no column for a key of entity '${EntityName<E>}': add keys: { key: source.column }`>;
      }
  : never;

type CheckFeature<A, N> =
  A extends Agg<unknown, string, "no_window">
    ? TypeProblem<'this aggregation needs a window: add .over("1h")'>
    : A extends Agg<unknown, infer S, unknown>
      ? [S] extends [N]
        ? A
        : TypeProblem<`this aggregates a column of another source ('${S & string}') than the view's ('${N & string}')`>
      : TypeProblem<"a feature of a view is an aggregation, such as count().over('1h') or latest(source.column)">;

/** The lookup name of each entity key, where it is renamed. */
type Renamed<Keys, M> = { [K in keyof Keys as K extends keyof M ? (M[K] extends string ? M[K] : K) : K]: Keys[K] };

/** A declared view: its features are values (`activity.spend_1h`). */
export type FeatureView<F, Keys> = { readonly [P in keyof F]: Expr<F[P], never, Keys> } & {
  readonly [Meta]: FeatureViewMeta;
  /** The same features looked up by other key names: `view.as({ airport_id: "origin" })`. */
  as<const M extends { readonly [K in keyof Keys]?: string }>(names: M): FeatureView<F, Simplify<Renamed<Keys, M>>>;
};

interface ViewOptions<Src, E, F> {
  readonly source: Src;
  readonly entity: E;
  readonly features: F & { readonly [K in keyof F]: CheckFeature<F[K], NameOf<Src>> };
  /** How old the latest event of a feature without a window may be. */
  readonly ttl?: Duration;
  readonly description?: string;
  readonly owner?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

/** Which column of the source holds each key; needed where the names differ. */
type KeyMap<Src, E> = {
  readonly [K in keyof EntityKeys<E>]: Expr<EntityKeys<E>[K] | null, NameOf<Src> & string>;
};

/** Declares features of one entity, aggregated from one source. The key of a feature is its name. */
export function featureView<
  const N extends string,
  Src extends AnySource,
  E extends Entity<string, Schema>,
  const F extends Readonly<Record<string, Agg<unknown, string, unknown>>>,
>(
  name: N,
  options: ViewOptions<Src, E, F> &
    ({ readonly keys: KeyMap<Src, E> } | ({ readonly keys?: never } & CheckKeys<Src, E>)),
): FeatureView<FeaturesOf<F>, Simplify<EntityKeys<E>>> {
  checkName("a feature view", name);
  const source = options.source[Meta];
  const entity = options.entity[Meta];
  const keys = options.keys as Readonly<Record<string, Expr<unknown>>> | undefined;
  const keyColumns = entity.keys.map((key) => keyColumn(name, source, key, keys?.[key.name]?.expression));
  const viewTtl = options.ttl === undefined ? null : durationMs(options.ttl);
  const features = Object.entries(options.features as Readonly<Record<string, Agg<unknown, string, unknown>>>).flatMap(
    ([feature, { aggregate }]) => expandFeature(name, source, feature, aggregate, viewTtl),
  );
  const names = new Set(features.map((f) => f.name));
  if (names.size !== features.length || names.size === 0) {
    throw millraceError(
      "DEFINITION_INVALID",
      `View '${name}' ${names.size === 0 ? "has no feature" : "makes one feature name twice"}.`,
    );
  }
  const meta: FeatureViewMeta = Object.freeze({
    kind: "feature_view",
    name,
    source,
    entity,
    keyColumns,
    features: Object.freeze(features),
    description: options.description ?? "",
    owner: options.owner ?? "",
    tags: options.tags ?? {},
  });
  const same = Object.fromEntries(entity.keys.map((key) => [key.name, key.name]));
  // The cast claims the features that Expand computes, which expandFeature makes by the same rule.
  return withKeys(meta, same) as FeatureView<FeaturesOf<F>, Simplify<EntityKeys<E>>>;
}

function withKeys(meta: FeatureViewMeta, keys: Readonly<Record<string, string>>): object {
  const byName = meta.features.map((feature) => [
    feature.name,
    expr({ op: "feature", view: meta, feature: feature.name, type: feature.type, keys }),
  ]);
  const as = (names: Readonly<Record<string, string>>): object => {
    for (const [key, name] of Object.entries(names)) {
      if (!(key in keys))
        throw millraceError("DEFINITION_INVALID", `View '${meta.name}' has no key '${key}' to rename.`);
      checkName(`a lookup key of view '${meta.name}'`, name);
    }
    return withKeys(meta, Object.freeze({ ...keys, ...names }));
  };
  const view = Object.fromEntries(byName);
  Object.defineProperty(view, "as", { value: as, enumerable: false });
  return Object.freeze(Object.assign(view, { [Meta]: meta }));
}

function keyColumn(
  view: string,
  source: SourceMeta,
  key: EntityMeta["keys"][number],
  mapped: Expression | undefined,
): string {
  if (mapped !== undefined && (mapped.op !== "column" || mapped.source !== source.name)) {
    throw millraceError(
      "DEFINITION_INVALID",
      `View '${view}' maps key '${key.name}' to something that is not a column of source '${source.name}'.`,
    );
  }
  const name = mapped?.op === "column" ? mapped.column : key.name;
  const type = source.columns.find((c) => c.name === name)?.type;
  if (type === undefined || type.kind !== key.type.kind) {
    throw millraceError(
      "DEFINITION_INVALID",
      `View '${view}' needs column '${name}' of type ${key.type.kind} in source '${source.name}' for key '${key.name}'${type ? `, which is a ${type.kind}` : ", which has no such column: add keys: { key: source.column }"}.`,
    );
  }
  return name;
}

function expandFeature(
  view: string,
  source: SourceMeta,
  name: string,
  aggregate: AggregateMeta,
  viewTtl: number | null,
): FeatureMeta[] {
  const { windows, aggregation, type } = aggregate;
  const lifetime = ["latest", "first", "last_n"].includes(aggregation.name);
  if (windows === null && !lifetime) {
    throw millraceError("DEFINITION_INVALID", `Feature '${name}' of view '${view}' needs a window: add .over("1h").`);
  }
  for (const expression of [aggregate.input, aggregate.where]) {
    if (expression !== null) checkSource(view, name, source, expression);
  }
  if (windows !== null && aggregate.ttlMs !== null) {
    throw millraceError(
      "DEFINITION_INVALID",
      `Feature '${name}' of view '${view}' has a window and a ttl: it can have one of them.`,
    );
  }
  const feature = (suffix: string, windowMs: number | null): FeatureMeta => {
    const full = checkName(`a feature of view '${view}'`, name + suffix);
    if (full === "as") throw millraceError("NAME_INVALID", `A feature of view '${view}' cannot be called 'as'.`);
    return Object.freeze({
      name: full,
      aggregate,
      windowMs,
      ttlMs: windowMs === null ? (aggregate.ttlMs ?? viewTtl) : null,
      type,
    });
  };
  if (windows === null) return [feature("", null)];
  if (typeof windows === "string") return [feature("", durationMs(windows))];
  return windows.map((window) => feature(`_${window}`, durationMs(window)));
}

function checkSource(view: string, feature: string, source: SourceMeta, expression: Expression): void {
  if (expression.op === "column") {
    if (expression.source !== source.name || !source.columns.some((c) => c.name === expression.column)) {
      throw millraceError(
        "DEFINITION_INVALID",
        `Feature '${feature}' of view '${view}' reads column '${expression.column}' of source '${expression.source}': the view's source is '${source.name}'.`,
      );
    }
  } else if (expression.op === "derive") {
    for (const input of Object.values(expression.inputs)) checkSource(view, feature, source, input);
  }
}
