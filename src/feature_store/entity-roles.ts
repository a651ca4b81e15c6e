import type { EntityMeta } from "../definitions/entity.ts";
import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import type { ColumnTypeSpec } from "../definitions/value.ts";
import type { Plan } from "../feature_engineering/plan/plan.ts";
import type { EntityRole } from "./offline/offline-store.ts";

/** An entity as it is or was declared. */
export interface KnownEntity {
  readonly name: string;
  readonly keys: EntityMeta["keys"];
}

/** A view's place in its source: which columns hold which entity's key. */
interface Placement {
  readonly entity: string;
  readonly source: string;
  readonly keyColumns: readonly string[];
}

/** The entity, as declared or, if it is not any more, as the newest plan that had it; null if none had. */
export function findEntity(name: string, declared: readonly EntityMeta[], plans: readonly Plan[]): KnownEntity | null {
  const found = declared.find((entity) => entity.name === name);
  if (found !== undefined) return found;
  for (const plan of plans.toReversed()) {
    const entry = plan.entities.find((entity) => entity.name === name);
    if (entry !== undefined) return { name, keys: entry.keys as unknown as EntityMeta["keys"] };
  }
  return null;
}

/**
 * Every role of each entity: the key columns that any view maps it to, now or in an earlier plan. Of a role those
 * columns are nulled that belong to no other entity on that source, so that other entities keep their events; if each
 * belongs to another one too, all are.
 */
export function entityRoles(views: readonly FeatureViewMeta[], plans: readonly Plan[]): Map<string, EntityRole[]> {
  const placements = new Map<string, Placement>();
  const add = (placement: Placement): void => {
    placements.set(JSON.stringify([placement.entity, placement.source, placement.keyColumns]), placement);
  };
  for (const view of views) {
    add({ entity: view.entity.name, source: view.source.name, keyColumns: view.keyColumns });
  }
  for (const plan of plans) {
    for (const view of plan.views) {
      const entity = plan.entities.find((entry) => entry.name === view.entity);
      const keys = (entity?.keys ?? []) as readonly { readonly name: string }[];
      const columns = view.key_columns as Readonly<Record<string, string>>;
      // The columns are sorted by name in a plan, the entity's keys are not.
      const keyColumns = keys.map((key) => columns[key.name]!);
      if (keyColumns.length > 0) add({ entity: String(view.entity), source: view.source, keyColumns });
    }
  }
  const roles = new Map<string, EntityRole[]>();
  for (const { entity, source, keyColumns } of placements.values()) {
    const others = new Set(
      [...placements.values()]
        .filter((other) => other.entity !== entity && other.source === source)
        .flatMap((other) => other.keyColumns),
    );
    const own = keyColumns.filter((column) => !others.has(column));
    const nulledColumns = own.length > 0 ? own : keyColumns;
    roles.set(entity, [...(roles.get(entity) ?? []), { source, keyColumns, nulledColumns }]);
  }
  return roles;
}

/** The types of an entity's keys, in its order. */
export function keyTypesOf({ keys }: KnownEntity): ColumnTypeSpec[] {
  return keys.map((key) => key.type);
}
