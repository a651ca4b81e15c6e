import { randomBytes } from "node:crypto";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import { entityKeyText } from "./entity-key-text.ts";
import type { MemorySourceTable } from "./memory-offline-store.ts";
import { namesEntity } from "./names-entity.ts";
import type { EntityRole, OfflineStore, StoredDeadLetter, StoredPrediction, Tombstone } from "./offline-store.ts";
import {
  type CompiledRole,
  compileRole,
  createTombstoneFilter,
  keyHash,
  roleId,
  roleKeyText,
  type TombstoneFilter,
  unionRoles,
  withNulls,
} from "./tombstone-filter.ts";

/** The part of the memory store that forgets entities, and its prediction log. */
export interface MemoryErasure {
  readonly filter: TombstoneFilter;
  /** How many erasures there were. */
  readonly count: number;
  readonly methods: Pick<
    OfflineStore,
    | "erase"
    | "tombstones"
    | "finishErasure"
    | "extendTombstones"
    | "appendPredictions"
    | "predictions"
    | "removePredictions"
  >;
}

export function memoryErasure({
  sources,
  letters,
  checkOpen,
}: {
  readonly sources: ReadonlyMap<string, MemorySourceTable>;
  readonly letters: StoredDeadLetter[];
  readonly checkOpen: () => void;
}): MemoryErasure {
  const secret = randomBytes(32);
  let tombstones: Tombstone[] = [];
  let filter = createTombstoneFilter(secret, tombstones);
  let predictions: StoredPrediction[] = [];
  let lastErasure = 0;
  let lastPrediction = 0;

  function setTombstones(next: Tombstone[]): void {
    tombstones = next;
    filter = createTombstoneFilter(secret, next);
  }

  /** Nulls the events of each role of the entity whose key `isErased`; hands each of them on. */
  function nullEvents(
    of: Pick<Tombstone, "entity" | "keyTypes">,
    roles: readonly EntityRole[],
    isErased: (keyText: string, event: LoggedEvent) => boolean,
  ): LoggedEvent[] {
    const nulled: LoggedEvent[] = [];
    for (const source of sources.values()) {
      const mine = roles
        .map((role) => compileRole(source.table, of, role))
        .filter((role): role is CompiledRole => role !== null);
      if (mine.length === 0) continue;
      source.events = source.events.map((event) => {
        const places = mine
          .filter((role) => {
            const text = roleKeyText(role, event.row);
            return text !== null && isErased(text, event);
          })
          .flatMap((role) => role.nulledIndexes);
        if (places.length === 0) return event;
        const without = withNulls(event, places);
        nulled.push(without);
        const id = `${event.eventTime}:${event.id}`;
        if (source.byId.get(id) === event) source.byId.set(id, without);
        return without;
      });
    }
    return nulled;
  }

  return {
    get filter() {
      return filter;
    },
    get count() {
      return lastErasure;
    },
    methods: {
      async erase({ entity, key, keyTypes, roles, at }) {
        checkOpen();
        const keyText = entityKeyText(entity, keyTypes, key)!;
        const nulled = nullEvents({ entity, keyTypes }, roles, (text) => text === keyText);
        const until = nulled.reduce((latest, event) => Math.max(latest, event.ingestedAt), at);
        const kept = letters.filter((letter) => !namesEntity(letter, roles, key));
        const deadLetters = letters.length - kept.length;
        letters.splice(0, letters.length, ...kept);
        const before = predictions.length;
        predictions = predictions.filter((prediction) => !prediction.keys.includes(keyText));
        const hash = keyHash(secret, keyText);
        const known = tombstones.find((tombstone) => tombstone.keyHash === hash);
        const tombstone: Tombstone = {
          id: ++lastErasure,
          entity,
          keyTypes,
          keyHash: hash,
          until: Math.max(until, known?.until ?? until),
          roles: unionRoles(known?.roles ?? [], roles),
          pendingKey: keyText,
        };
        setTombstones([...tombstones.filter((one) => one !== known), tombstone]);
        return {
          id: tombstone.id,
          events: nulled.length,
          deadLetters,
          predictions: before - predictions.length,
          until: tombstone.until,
        };
      },
      async tombstones() {
        checkOpen();
        return tombstones;
      },
      async finishErasure(id) {
        checkOpen();
        setTombstones(tombstones.map((one) => (one.id === id ? { ...one, pendingKey: null } : one)));
      },
      async extendTombstones(entity, roles) {
        checkOpen();
        const mine = tombstones.filter((one) => one.entity === entity);
        const known = new Set(mine.flatMap((one) => one.roles.map(roleId)));
        const added = roles.filter((role) => !known.has(roleId(role)));
        if (mine.length === 0 || added.length === 0) return 0;
        const untilOf = new Map(mine.map(({ keyHash: hash, until }) => [hash, until]));
        const nulled = nullEvents(
          mine[0]!,
          added,
          (text, event) => event.ingestedAt <= (untilOf.get(keyHash(secret, text)) ?? Number.NEGATIVE_INFINITY),
        );
        setTombstones(
          tombstones.map((one) => (one.entity === entity ? { ...one, roles: unionRoles(one.roles, added) } : one)),
        );
        return nulled.length;
      },
      async appendPredictions(records) {
        checkOpen();
        for (const record of filter.predictions(records)) predictions.push({ ...record, id: ++lastPrediction });
      },
      async predictions({ model, from, beforeId, afterId, limit }) {
        checkOpen();
        return predictions
          .filter(
            (prediction) =>
              (model === undefined || prediction.model === model) &&
              (from === undefined || prediction.at >= from) &&
              (beforeId === undefined || prediction.id < beforeId) &&
              (afterId === undefined || prediction.id > afterId),
          )
          .reverse()
          .slice(0, limit);
      },
      async removePredictions(before) {
        checkOpen();
        const kept = predictions.filter(({ at }) => at >= before);
        const removed = predictions.length - kept.length;
        predictions = kept;
        return removed;
      },
    },
  };
}
