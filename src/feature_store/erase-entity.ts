import { setTimeout as delay } from "node:timers/promises";
import { millraceError } from "../definitions/errors.ts";
import type { Value } from "../definitions/value.ts";
import { keyText } from "../feature_engineering/encoding/key-text.ts";
import { metaNames } from "../feature_engineering/engine/meta-names.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import type { Plan } from "../feature_engineering/plan/plan.ts";
import { columnsOfView } from "./columns-read.ts";
import { entityRoles, findEntity, type KnownEntity, keyTypesOf } from "./entity-roles.ts";
import { encodedKeyOf, keyOf } from "./offline/entity-key-text.ts";
import type { EntityRole, OfflineStore, Tombstone } from "./offline/offline-store.ts";
import type { OnlineStore } from "./online/online-store.ts";
import { readEntityKey } from "./read-entity-key.ts";
import { rebuild } from "./rebuild.ts";
import { allPlans } from "./registry/registry.ts";
import { readSourceClock } from "./source-clock.ts";
import type { ViewRuntime } from "./view-runtime.ts";

/** What erasing works on. */
export interface ErasureContext {
  readonly declarations: Pick<Declarations, "entities" | "views">;
  /** The declared views, compiled. */
  readonly views: readonly ViewRuntime[];
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** The wall clock; epoch milliseconds. */
  readonly now: () => number;
  /** How long to wait for events that were committed before the erasure to be folded, milliseconds. Default 30,000. */
  readonly waitMs?: number;
}

/** What an erasure did. */
export interface EntityErasure {
  readonly entity: string;
  /** Events whose key was nulled. */
  readonly events: number;
  readonly deadLetters: number;
  readonly predictions: number;
  /** Values of the entity that were put right or removed, over all view versions. */
  readonly values: number;
  /** Values of other entities that had read a nulled column, and were computed anew without it. */
  readonly otherValues: number;
  /** Epoch milliseconds: what was taken up to this moment is erased, whenever it comes. */
  readonly until: number;
  /** True if the hot store could not be done yet: it is tried again until it is done. */
  readonly pending: boolean;
}

const POLL_MS = 20;

/**
 * Erases one entity everywhere. First in the cold store, in one transaction that also sets its tombstone: from then on
 * nothing that was taken before can bring it back. Then in the hot store, once everything that was committed before is
 * folded: its values are computed anew from what history has left of it, or removed. A crash in between is made good by
 * `finishErasures`.
 *
 * Other entities keep their events. Only where a view reads a nulled column (the key of one entity counted under
 * another, say) the other entities' values change too, to what history now gives.
 *
 * @throws `ENTITY_UNKNOWN`, `ENTITY_KEY_INVALID`
 */
export async function eraseEntity(
  context: ErasureContext,
  name: string,
  rawKey: Readonly<Record<string, unknown>>,
): Promise<EntityErasure> {
  const { declarations, offline, now } = context;
  const plans = (await allPlans(offline)).map(({ plan }) => plan);
  const entity = findEntity(name, declarations.entities, plans);
  if (entity === null) throw entityUnknown(name, declarations);
  const key = readEntityKey(entity, rawKey);
  const roles = entityRoles(declarations.views, plans).get(name) ?? [];
  const others = await entitiesBeside(context, roles, key);
  const result = await offline.erase({ entity: name, key, keyTypes: keyTypesOf(entity), roles, at: now() });
  const { events, deadLetters, predictions, until } = result;
  // Events that came in between are not among those whose other entities are known.
  const known = events > others.events ? null : others.keys;
  const [tombstone] = (await offline.tombstones()).filter(({ id }) => id === result.id);
  const done = tombstone === undefined ? null : await finish(context, tombstone, plans, known);
  return {
    entity: name,
    events,
    deadLetters,
    predictions,
    values: done?.values ?? 0,
    otherValues: done?.otherValues ?? 0,
    until,
    pending: done === null,
  };
}

/**
 * Finishes erasures that a crash, or a hot store that did not follow, left half done. Returns how many are still
 * pending. To be called at each start once the hot store is filled, and now and then.
 */
export async function finishErasures(context: ErasureContext): Promise<number> {
  const tombstones = (await context.offline.tombstones()).filter(({ pendingKey }) => pendingKey !== null);
  if (tombstones.length === 0) return 0;
  const plans = (await allPlans(context.offline)).map(({ plan }) => plan);
  let pending = 0;
  for (const tombstone of tombstones) if ((await finish(context, tombstone, plans, null)) === null) pending++;
  return pending;
}

/** Takes earlier erasures over to the roles of views declared since. To be called before views are filled from the log. */
export async function extendErasures({
  declarations,
  offline,
}: Pick<ErasureContext, "declarations" | "offline">): Promise<number> {
  let events = 0;
  if ((await offline.tombstones()).length === 0) return 0;
  for (const [entity, roles] of entityRoles(declarations.views, [])) {
    events += await offline.extendTombstones(entity, roles);
  }
  return events;
}

/** The declared views that read a column which an erasure nulls, with the columns' source; the entity's own roles apart. */
function dependentViews(views: readonly ViewRuntime[], entity: string, roles: readonly EntityRole[]): ViewRuntime[] {
  return views.filter(({ layout: { view } }) => {
    const columns = columnsOfView(view);
    return roles.some((role) => {
      if (role.source !== view.source.name) return false;
      const isOwn = view.entity.name === entity && view.keyColumns.join() === role.keyColumns.join();
      return !isOwn && role.nulledColumns.some((column) => columns.has(column));
    });
  });
}

/** Of each dependent view, the entities that share an event with the one that is to be erased. */
async function entitiesBeside(
  { views, offline }: ErasureContext,
  roles: readonly EntityRole[],
  key: readonly Value[],
): Promise<{ events: number; keys: Map<string, readonly (readonly Value[])[]> }> {
  const keys = new Map<string, Map<string, readonly Value[]>>();
  let events = 0;
  const declared = new Set(views.map(({ layout }) => layout.view.source.name));
  for (const role of roles) {
    if (!declared.has(role.source)) continue;
    const dependents = dependentViews(views, "", [role]);
    const history = offline.history({
      source: role.source,
      keyColumns: role.keyColumns,
      keys: [key],
      from: null,
      before: null,
      knowledge: "event_time",
    });
    for await (const batch of history) {
      events += batch.length;
      for (const { row } of batch) {
        for (const { layout, keyspace } of dependents) {
          const text = keyText(row, layout.keyIndexes);
          if (text === null) continue;
          const known = keys.get(keyspace) ?? new Map<string, readonly Value[]>();
          keys.set(keyspace, known);
          if (!known.has(text)) {
            known.set(
              text,
              layout.keyIndexes.map((index) => row[index]!),
            );
          }
        }
      }
    }
  }
  return { events, keys: new Map([...keys].map(([keyspace, found]) => [keyspace, [...found.values()]])) };
}

/** The part outside the cold store. `others`: the entities to compute anew per key space; null if it is not known. */
async function finish(
  context: ErasureContext,
  tombstone: Tombstone,
  plans: readonly Plan[],
  others: ReadonlyMap<string, readonly (readonly Value[])[]> | null,
): Promise<{ values: number; otherValues: number } | null> {
  const { views, online, offline, now } = context;
  const { entity, pendingKey, roles } = tombstone;
  if (pendingKey === null) return { values: 0, otherValues: 0 };
  const key = keyOf(pendingKey);
  // What was committed before the erasure and is not folded yet would still bring the key.
  if (!(await folded(context, roles))) return null;
  let values = 0;
  let otherValues = 0;
  const dependents = new Set(dependentViews(views, entity, roles));
  for (const view of views) {
    const { source } = view.layout.view;
    const clock = await readSourceClock(online, [source], now);
    const options = { view, online, offline, clock: () => clock };
    if (view.layout.view.entity.name === entity) {
      values += (await rebuild({ ...options, keys: [key] })).written;
    }
    if (dependents.has(view)) {
      const keys = others === null ? null : (others.get(view.keyspace) ?? []);
      otherValues += (await rebuild({ ...options, keys })).written;
    }
  }
  values += await removeElsewhere(context, entity, encodedKeyOf(pendingKey), plans);
  // A removal that a failover took back would bring the values back.
  await online.durable();
  await offline.finishErasure(tombstone.id);
  return { values, otherValues };
}

/** Waits until all that is committed now is in the hot store, whoever folds it; false if it takes too long. */
async function folded(
  { views, online, offline, waitMs = 30_000 }: ErasureContext,
  roles: readonly EntityRole[],
): Promise<boolean> {
  const [instance] = await online.readMeta([metaNames.instance]);
  const sources = new Set(roles.map((role) => role.source));
  const waiting = views.filter(({ layout }) => sources.has(layout.view.source.name));
  const deadline = performance.now() + waitMs;
  const committed = new Map<string, readonly { readonly partitionId: number; readonly committed: number }[]>();
  for (const { layout } of waiting) {
    const { name } = layout.view.source;
    if (!committed.has(name)) committed.set(name, await offline.partitions(name));
  }
  for (const { layout, keyspace } of waiting) {
    const wanted = committed.get(layout.view.source.name)!;
    while (true) {
      const applied = new Map(
        (await offline.applied(`${keyspace}#${instance}`)).map(({ partitionId, offset }) => [partitionId, offset]),
      );
      if (wanted.every((partition) => (applied.get(partition.partitionId) ?? -1) >= partition.committed)) break;
      if (performance.now() > deadline) return false;
      await delay(POLL_MS);
    }
  }
  return true;
}

/** Removes the values under the key in key spaces that are not declared here: earlier versions, other processes' views. */
async function removeElsewhere(
  { views, online }: ErasureContext,
  entity: string,
  key: Uint8Array,
  plans: readonly Plan[],
): Promise<number> {
  const declared = new Set(views.map((view) => view.keyspace));
  const entityOf = new Map(plans.flatMap((plan) => plan.views.map((view) => [view.version, view.entity])));
  let removed = 0;
  for (const keyspace of await online.keyspaces()) {
    const owner = entityOf.get(keyspace);
    // Of a version that no plan has it is not known whose it is: nobody here reads it.
    if (declared.has(keyspace) || (owner !== undefined && owner !== entity)) continue;
    for (let done = false; !done; ) {
      const [stored] = await online.read([{ keyspace, key }]);
      if (stored === null || stored === undefined) break;
      const write = { keyspace, key, expectedRevision: stored.revision, bytes: null };
      done = (await online.compareAndSet([write]))[0] === true;
      if (done) removed++;
    }
  }
  return removed;
}

function entityUnknown(name: string, { entities }: Pick<Declarations, "entities">): Error {
  return millraceError(
    "ENTITY_UNKNOWN",
    `There is no entity '${name}', nor was there one in an earlier plan: declared are ${entities.map((e: KnownEntity) => e.name).join(", ") || "none"}.`,
  );
}
