import type { EntityMeta } from "../../definitions/entity.ts";
import { millraceError } from "../../definitions/errors.ts";
import type { FeatureServiceMeta } from "../../definitions/feature-service.ts";
import type { FeatureViewMeta } from "../../definitions/feature-view.ts";
import { Meta } from "../../definitions/meta.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import type { OutcomeMeta } from "../../definitions/outcome.ts";
import type { SourceMeta } from "../../definitions/source.ts";
import { canonicalText, type JsonObject } from "./json.ts";
import { planEntity, planModel, planOutcome, planService, planSource, planView } from "./plan-entries.ts";

/** Everything that was declared, each kind sorted by name. */
export interface Declarations {
  readonly entities: readonly EntityMeta[];
  readonly sources: readonly SourceMeta[];
  readonly views: readonly FeatureViewMeta[];
  readonly services: readonly FeatureServiceMeta[];
  readonly models: readonly ModelMeta[];
  /** Left out: none. */
  readonly outcomes?: readonly OutcomeMeta[];
}

type Declaration = EntityMeta | SourceMeta | FeatureViewMeta | FeatureServiceMeta | ModelMeta | OutcomeMeta;

/**
 * Finds the declarations among a module's exports, also within plain objects and lists that it exports (one level
 * deep), and what they read: an outcome's model and source, a model's service, a service's views, a view's source and entity. To declare several
 * modules, give an object of their namespaces' contents.
 *
 * @throws `PLAN_CONFLICT` if two different declarations of one kind have one name.
 */
export function collectDeclarations(exports: Readonly<Record<string, unknown>>): Declarations {
  const entities = collector("entity", planEntity);
  const sources = collector("source", planSource);
  const views = collector("feature view", planView);
  const services = collector("feature service", planService);
  const models = collector("model", planModel);
  const outcomes = collector("outcome", planOutcome);

  const add = (meta: Declaration): void => {
    switch (meta.kind) {
      case "entity":
        entities.add(meta);
        return;
      case "stream_source":
      case "table_source":
        sources.add(meta);
        return;
      case "feature_view":
        if (!views.add(meta)) return;
        add(meta.source);
        add(meta.entity);
        return;
      case "feature_service":
        if (services.add(meta)) for (const view of meta.views) add(view);
        return;
      case "model":
        if (models.add(meta)) add(meta.service);
        return;
      case "outcome":
        if (!outcomes.add(meta)) return;
        add(meta.model);
        add(meta.source);
        return;
    }
  };
  for (const value of Object.values(exports)) {
    const meta = metaOf(value);
    if (meta !== null) add(meta);
    else for (const inner of itemsOf(value)) if (metaOf(inner) !== null) add(metaOf(inner)!);
  }
  return {
    entities: entities.all(),
    sources: sources.all(),
    views: views.all(),
    services: services.all(),
    models: models.all(),
    outcomes: outcomes.all(),
  };
}

function metaOf(value: unknown): Declaration | null {
  if (typeof value !== "object" || value === null || !(Meta in value)) return null;
  // Only the definitions set this symbol.
  return value[Meta] as Declaration;
}

function itemsOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value !== "object" || value === null) return [];
  const prototype: unknown = Object.getPrototypeOf(value);
  // Also a module's namespace, which has no prototype.
  return prototype === null || prototype === Object.prototype ? Object.values(value) : [];
}

interface Collector<M> {
  /** False if it was there already. */
  add(meta: M): boolean;
  all(): M[];
}

function collector<M extends Declaration>(kind: string, entry: (meta: M) => JsonObject): Collector<M> {
  const byName = new Map<string, M>();
  return {
    add(meta) {
      const known = byName.get(meta.name);
      if (known === meta) return false;
      // A module that was loaded twice declares the same thing in two objects.
      if (known !== undefined && canonicalText(entry(known)) !== canonicalText(entry(meta))) {
        throw millraceError(
          "PLAN_CONFLICT",
          `There are two different declarations of the ${kind} '${meta.name}': a name stands for one thing. Rename one of them, or import it from where it is declared.`,
          { details: { kind, name: meta.name } },
        );
      }
      if (known === undefined) byName.set(meta.name, meta);
      return known === undefined;
    },
    all: () => [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}
