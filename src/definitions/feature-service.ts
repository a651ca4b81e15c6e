import type { AnyColumnGroup } from "./column-group.ts";
import type { AllKeys, AllRequest } from "./derive.ts";
import { millraceError } from "./errors.ts";
import type { AnyExpr, Expression, KeysOf, RequestOf, StreamOf, ValueOf } from "./expression.ts";
import type { FeatureViewMeta } from "./feature-view.ts";
import { Meta } from "./meta.ts";
import { checkName } from "./names.ts";
import type { Simplify, TypeProblem, UnionToIntersection } from "./type-problem.ts";
import type { ColumnTypeSpec } from "./value.ts";

export interface ServiceFeatureMeta {
  /** The key it was declared under; a one-hot makes the columns `name_category` of it. */
  readonly name: string;
  readonly expression: Expression;
}

export interface FeatureServiceMeta {
  readonly kind: "feature_service";
  readonly name: string;
  readonly features: readonly ServiceFeatureMeta[];
  /** Every view that it reads. */
  readonly views: readonly FeatureViewMeta[];
  /** What a lookup holds: entity keys and request columns, flat. */
  readonly lookup: readonly {
    readonly name: string;
    readonly type: ColumnTypeSpec;
    readonly role: "key" | "request";
  }[];
  readonly description: string;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** The row that a model reads, in order; typed by its columns and by what a lookup must hold. */
export interface FeatureService<out Row, in out Lookup> {
  readonly [Meta]: FeatureServiceMeta;
  readonly "~row"?: Row;
  readonly "~lookup"?: (lookup: Lookup) => Lookup;
}
// biome-ignore lint/suspicious/noExplicitAny: the widest service, for constraints
export type AnyFeatureService = FeatureService<any, any>;
export type InferRow<S> = S extends { readonly "~row"?: infer R } ? R : never;
export type InferLookup<S> = S extends { readonly "~lookup"?: (lookup: infer L) => unknown } ? L : never;

type Column<K extends string, E> =
  E extends AnyColumnGroup<infer C>
    ? string extends C
      ? { [P in K]: ValueOf<E> }
      : { [P in C as `${K}_${P}`]: number }
    : { [P in K]: ValueOf<E> };
type RowOf<F> = Simplify<UnionToIntersection<{ [K in keyof F & string]: Column<K, F[K]> }[keyof F & string]>>;
type LookupOf<F> = Simplify<AllKeys<F> & AllRequest<F>>;

type CheckColumn<E, Lookup> = [StreamOf<E>] extends [never]
  ? Clash<KeysOf<E> & RequestOf<E>, Lookup> extends never
    ? E
    : TypeProblem<`the lookup name '${Clash<KeysOf<E> & RequestOf<E>, Lookup> & string}' would have two types: rename a key by view.as({ ... })`>
  : TypeProblem<`this is a raw column of stream '${StreamOf<E>}': aggregate it in a feature view first`>;
/** The names of `Own` that became impossible (never) in the whole lookup. */
type Clash<Own, Lookup> = {
  [K in keyof Own]: K extends keyof Lookup ? ([Lookup[K]] extends [never] ? K : never) : never;
}[keyof Own];

/** Declares the row that a model reads: feature values, request columns, transforms and derives, in this order. */
export function featureService<const F extends Readonly<Record<string, AnyExpr>>>(
  name: string,
  options: {
    readonly features: F & { readonly [K in keyof F]: CheckColumn<F[K], LookupOf<F>> };
    readonly description?: string;
    readonly owner?: string;
    readonly tags?: Readonly<Record<string, string>>;
  },
): FeatureService<RowOf<F>, LookupOf<F>> {
  checkName("a feature service", name);
  const features = Object.entries(options.features as Readonly<Record<string, AnyExpr>>).map(([feature, value]) => {
    checkName(`a feature of service '${name}'`, feature);
    if (value?.expression === undefined) {
      throw millraceError(
        "DEFINITION_INVALID",
        `Feature '${feature}' of service '${name}' is not a declared value: give it a view's feature, a request column, a transform or a derive.`,
      );
    }
    return { name: feature, expression: value.expression };
  });
  if (features.length === 0) throw millraceError("DEFINITION_INVALID", `Service '${name}' has no feature.`);
  const lookup = new Map<string, { name: string; type: ColumnTypeSpec; role: "key" | "request" }>();
  const views = new Map<string, FeatureViewMeta>();
  for (const { expression } of features) gather(name, expression, lookup, views);
  return Object.freeze({
    [Meta]: Object.freeze({
      kind: "feature_service",
      name,
      features,
      views: [...views.values()],
      lookup: [...lookup.values()],
      description: options.description ?? "",
      owner: options.owner ?? "",
      tags: options.tags ?? {},
    } as const),
  });
}

type Lookup = Map<string, { name: string; type: ColumnTypeSpec; role: "key" | "request" }>;

function gather(service: string, expression: Expression, lookup: Lookup, views: Map<string, FeatureViewMeta>): void {
  switch (expression.op) {
    case "column":
      throw millraceError(
        "DEFINITION_INVALID",
        `Service '${service}' reads column '${expression.column}' of stream '${expression.source}': aggregate it in a feature view first.`,
      );
    case "request":
      addLookup(service, lookup, expression.column, expression.type, "request");
      return;
    case "feature": {
      const { view } = expression;
      const known = views.get(view.name);
      if (known !== undefined && known !== view) {
        throw millraceError(
          "DEFINITION_INVALID",
          `Service '${service}' reads two different views that are both named '${view.name}'.`,
        );
      }
      views.set(view.name, view);
      for (const key of view.entity.keys)
        addLookup(service, lookup, expression.keys[key.name] ?? key.name, key.type, "key");
      return;
    }
    case "derive":
      for (const input of Object.values(expression.inputs)) gather(service, input, lookup, views);
      return;
    default:
      gather(service, expression.input, lookup, views);
  }
}

function addLookup(service: string, lookup: Lookup, name: string, type: ColumnTypeSpec, role: "key" | "request"): void {
  const known = lookup.get(name);
  if (known === undefined) {
    lookup.set(name, { name, type, role });
  } else if (known.type.kind !== type.kind) {
    throw millraceError(
      "DEFINITION_INVALID",
      `Service '${service}' uses the lookup name '${name}' as a ${known.type.kind} and as a ${type.kind}: rename a key by view.as({ ... }).`,
    );
  } else if (role === "key") {
    // A name that is both a key and a request column must be there for the key's sake.
    lookup.set(name, { name, type, role });
  }
}
