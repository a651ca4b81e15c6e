import { createHmac } from "node:crypto";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import { entityKeyText } from "./entity-key-text.ts";
import type { EntityRole, PredictionRecord, SourceTable, Tombstone } from "./offline-store.ts";

/** What tombstones take away from that which arrives after them. Stores ask it within the transaction that writes. */
export interface TombstoneFilter {
  /** The events, those of erased entities with nulled keys; the same list if none is erased. */
  events(table: SourceTable, events: readonly LoggedEvent[]): readonly LoggedEvent[];
  /** The predictions that read no erased entity. */
  predictions(records: readonly PredictionRecord[]): readonly PredictionRecord[];
}

/** The keyed hash of an `entityKeyText` that stands for it in a tombstone. */
export function keyHash(secret: Uint8Array, keyText: string): string {
  return createHmac("sha256", secret).update(keyText).digest("hex");
}

/** Compiles the tombstones of a store. `secret` is the store's own. */
export function createTombstoneFilter(secret: Uint8Array, tombstones: readonly Tombstone[]): TombstoneFilter {
  const untilOf = new Map(tombstones.map(({ keyHash: hash, until }) => [hash, until]));
  const latest = tombstones.reduce((most, { until }) => Math.max(most, until), Number.NEGATIVE_INFINITY);
  const erased = (keyText: string, at: number): boolean => at <= (untilOf.get(keyHash(secret, keyText)) ?? -Infinity);
  const compiled = new WeakMap<SourceTable, CompiledRole[]>();

  function rolesOf(table: SourceTable): CompiledRole[] {
    let roles = compiled.get(table);
    if (roles === undefined) {
      roles = compileRoles(table, tombstones);
      compiled.set(table, roles);
    }
    return roles;
  }

  return {
    events(table, events) {
      const roles = rolesOf(table);
      // Live events are younger than every tombstone: one comparison each.
      if (roles.length === 0 || !events.some((event) => event.ingestedAt <= latest)) return events;
      return events.map((event) => {
        if (event.ingestedAt > latest) return event;
        const nulled = roles
          .filter((role) => {
            const text = roleKeyText(role, event.row);
            return text !== null && erased(text, event.ingestedAt);
          })
          .flatMap((role) => role.nulledIndexes);
        return nulled.length === 0 ? event : withNulls(event, nulled);
      });
    },
    predictions: (records) =>
      records.some(({ at }) => at <= latest)
        ? records.filter(({ keys, at }) => !keys.some((key) => erased(key, at)))
        : records,
  };
}

/** The event with nulls at these places of its row. */
export function withNulls(event: LoggedEvent, indexes: readonly number[]): LoggedEvent {
  const row: Value[] = [...event.row];
  for (const index of indexes) row[index] = null;
  return { ...event, row };
}

/** A role, resolved against a source's table. */
export interface CompiledRole {
  readonly entity: string;
  readonly keyTypes: readonly ColumnTypeSpec[];
  readonly keyIndexes: readonly number[];
  readonly nulledIndexes: readonly number[];
}

/** The role in the table; null if it is another source's, or has a column that the table does not have. */
export function compileRole(
  table: SourceTable,
  { entity, keyTypes }: Pick<Tombstone, "entity" | "keyTypes">,
  role: EntityRole,
): CompiledRole | null {
  if (role.source !== table.source) return null;
  const indexOf = (name: string): number => table.columns.findIndex((column) => column.name === name);
  const keyIndexes = role.keyColumns.map(indexOf);
  const nulledIndexes = role.nulledColumns.map(indexOf);
  if (keyIndexes.includes(-1) || nulledIndexes.includes(-1)) return null;
  return { entity, keyTypes, keyIndexes, nulledIndexes };
}

/** The `entityKeyText` of the event's entity in a role; null if it has none. */
export function roleKeyText({ entity, keyTypes, keyIndexes }: CompiledRole, row: readonly Value[]): string | null {
  return entityKeyText(
    entity,
    keyTypes,
    keyIndexes.map((index) => row[index]!),
  );
}

function compileRoles(table: SourceTable, tombstones: readonly Tombstone[]): CompiledRole[] {
  const roles = new Map<string, CompiledRole>();
  for (const tombstone of tombstones) {
    for (const role of tombstone.roles) {
      const found = compileRole(table, tombstone, role);
      if (found !== null) roles.set(JSON.stringify([tombstone.entity, tombstone.keyTypes, roleId(role)]), found);
    }
  }
  return [...roles.values()];
}

/** Equal for equal roles. */
export function roleId({ source, keyColumns, nulledColumns }: EntityRole): string {
  return JSON.stringify([source, keyColumns, nulledColumns]);
}

/** Both lists of roles, each role once. */
export function unionRoles(a: readonly EntityRole[], b: readonly EntityRole[]): EntityRole[] {
  return [...new Map([...a, ...b].map((role) => [roleId(role), role])).values()];
}
