import { millraceError } from "../../definitions/errors.ts";
import type { Value } from "../../definitions/value.ts";
import { createByteWriter } from "../encoding/byte-writer.ts";
import { encodeEntityKey } from "../encoding/entity-key.ts";
import { keyText } from "../encoding/key-text.ts";
import {
  createEntityState,
  decodeEntityState,
  encodeEntityState,
  positionOf,
  prunePositions,
  setPosition,
} from "../windows/entity-state.ts";
import {
  createEvaluatedEvent,
  evaluateEvent,
  expiredBefore,
  expiryOf,
  foldEvent,
  isExpired,
  pruneState,
} from "../windows/fold-event.ts";
import type { ViewLayout } from "../windows/view-layout.ts";
import { type CachedEntity, createEntityCache, type EntityId } from "./entity-cache.ts";
import type { LoggedEvent } from "./event-log.ts";
import type { FeatureSink, ValueWrite, WriteSession } from "./feature-sink.ts";
import { metaNames } from "./meta-names.ts";

export interface ViewFolderOptions {
  readonly layout: ViewLayout;
  readonly keyspace: string;
  readonly sink: FeatureSink;
  /** What values are written in. Default: none, lost writes are not noticed. */
  readonly session?: () => WriteSession;
  /** How many entities stay in memory, at least. */
  readonly cacheCapacity: number;
  /** How many values go to the hot store at once. */
  readonly writeBatch: number;
}

/** Folds events into the values of one view version and writes them by compare-and-set. */
export interface ViewFolder {
  readonly layout: ViewLayout;
  readonly keyspace: string;
  /**
   * Folds events of one partition, in offset order, skipping those that a stored value has applied already; `clocks[i]`
   * is the source's clock at event i. Nothing is written before `write`.
   */
  fold(events: readonly LoggedEvent[], clocks: ArrayLike<number>): Promise<void>;
  /** Writes every changed value. `durableApplied(partitionId)` is the offset up to which positions need not be kept. */
  write(clock: number, durableApplied: (partitionId: number) => number): Promise<number>;
  /** Forgets everything in memory: after an error of the hot store, what was not applied is folded again from the log. */
  reset(): void;
  /** Events skipped because a key column was null, since the start. */
  readonly nullKeys: number;
}

const MAX_CONFLICT_ROUNDS = 100;

export function createViewFolder(options: ViewFolderOptions): ViewFolder {
  const { layout, keyspace, sink, session, cacheCapacity, writeBatch } = options;
  let cache = createEntityCache(cacheCapacity);
  const evaluated = createEvaluatedEvent(layout);
  const identify = entityIdentifier(layout);
  let changed: { id: EntityId; entity: CachedEntity }[] = [];
  /** What was folded since the last write: a conflict folds it again onto what another writer stored. */
  let pending: { events: readonly LoggedEvent[]; clocks: ArrayLike<number>; ids: (EntityId | null)[] }[] = [];
  let nullKeys = 0;

  async function load(entities: readonly CachedEntity[], clock: number): Promise<void> {
    const stored = await sink.read(entities.map((entity) => ({ keyspace, key: entity.key })));
    let completeFrom = Number.NEGATIVE_INFINITY;
    if (stored.includes(null)) {
      const [expired] = await sink.readMeta([metaNames.expired(keyspace)]);
      if (expired !== null && expired !== undefined) completeFrom = Number(expired);
      if (sink.capabilities.expires) completeFrom = Math.max(completeFrom, expiredBefore(layout, clock));
    }
    // After the values: a mark that a value was pruned by was set before the value was written. If the value changed
    // in between, its write is refused, and it is loaded again. Not only while the log is folded again: another process
    // that took a partition over may have folded, marked and pruned what this one is just about to fold.
    const floors = await sink.marks(keyspace);
    for (let i = 0; i < entities.length; i++) {
      const entity = entities[i]!;
      const value = stored[i];
      entity.revision = value?.revision ?? 0;
      entity.state = value ? decodeEntityState(layout, value.bytes) : createEntityState(layout, completeFrom);
      entity.dirty = false;
      entity.floor = floors[sink.shardOf(entity.key)]!;
    }
  }

  function apply(id: EntityId, entity: CachedEntity, event: LoggedEvent, clock: number): void {
    const state = entity.state!;
    if (event.offset <= positionOf(state, event.partitionId)) return;
    if (entity.floor !== null && event.offset <= (entity.floor.get(event.partitionId) ?? -1)) return;
    evaluateEvent(layout, event.row, evaluated);
    foldEvent(layout, state, event, evaluated, clock);
    setPosition(state, event.partitionId, event.offset);
    if (!entity.dirty) {
      entity.dirty = true;
      changed.push({ id, entity });
    }
  }

  async function resolveConflicts(conflicts: { id: EntityId; entity: CachedEntity }[], clock: number): Promise<void> {
    await load(
      conflicts.map((conflict) => conflict.entity),
      clock,
    );
    const entities = new Map(conflicts.map(({ id, entity }) => [id, entity]));
    for (const { events, clocks, ids } of pending) {
      for (let i = 0; i < events.length; i++) {
        const entity = ids[i] === null ? undefined : entities.get(ids[i]!);
        if (entity !== undefined) apply(ids[i]!, entity, events[i]!, clocks[i]!);
      }
    }
  }

  return {
    layout,
    keyspace,
    get nullKeys() {
      return nullKeys;
    },
    async fold(events, clocks) {
      const ids = new Array<EntityId | null>(events.length);
      const entities = new Array<CachedEntity | null>(events.length);
      const missing: CachedEntity[] = [];
      for (let i = 0; i < events.length; i++) {
        const id = identify.id(events[i]!.row);
        ids[i] = id;
        entities[i] = null;
        if (id === null) {
          nullKeys++;
          continue;
        }
        let entity = cache.get(id);
        if (entity === undefined) {
          entity = { key: identify.key(events[i]!.row), state: null, revision: 0, floor: null, dirty: false };
          cache.set(id, entity);
        }
        // The store may have dropped it, and another writer begun it anew at a revision that it had before.
        else if (!entity.dirty && entity.state !== null && isExpired(layout, entity.state, clocks[i]!)) {
          entity.state = null;
        }
        if (entity.state === null) missing.push(entity);
        entities[i] = entity;
      }
      if (missing.length > 0) await load([...new Set(missing)], clocks[events.length - 1]!);
      for (let i = 0; i < events.length; i++) {
        if (entities[i] !== null) apply(ids[i]!, entities[i]!, events[i]!, clocks[i]!);
      }
      pending.push({ events, clocks, ids });
    },
    reset() {
      cache = createEntityCache(cacheCapacity);
      changed = [];
      pending = [];
    },
    async write(clock, durableApplied) {
      let written = 0;
      for (let round = 0; changed.length > 0; round++) {
        if (round === MAX_CONFLICT_ROUNDS) {
          throw millraceError(
            "HOT_STORE_CONTENTION",
            `Values of view '${layout.view.name}' were changed by another writer ${round} times in a row: one view version must have one kind of writer.`,
            { kind: "operational" },
          );
        }
        const batch = changed;
        changed = [];
        const conflicts: typeof batch = [];
        for (let from = 0; from < batch.length; from += writeBatch) {
          const part = batch.slice(from, from + writeBatch);
          const writes = part.map(({ entity }): ValueWrite => {
            const state = entity.state!;
            pruneState(layout, state, clock);
            prunePositions(state, durableApplied);
            const expiresAt = expiryOf(layout, state);
            return {
              keyspace,
              key: entity.key,
              expectedRevision: entity.revision,
              bytes: encodeEntityState(layout, state),
              ...(expiresAt === undefined ? {} : { expiresAt }),
            };
          });
          const done = await sink.compareAndSet(writes, session?.());
          for (let i = 0; i < part.length; i++) {
            const { entity } = part[i]!;
            if (done[i]) {
              entity.revision++;
              entity.dirty = false;
              written++;
            } else {
              conflicts.push(part[i]!);
            }
          }
        }
        if (conflicts.length > 0) await resolveConflicts(conflicts, clock);
      }
      pending = [];
      return written;
    },
  };
}

interface EntityIdentifier {
  /** Null if a key column is null. */
  id(row: readonly Value[]): EntityId | null;
  key(row: readonly Value[]): Uint8Array;
}

function entityIdentifier(layout: ViewLayout): EntityIdentifier {
  const out = createByteWriter(64);
  const { keyIndexes, keyTypes } = layout;
  const key = (row: readonly Value[]): Uint8Array => {
    out.reset();
    encodeEntityKey(
      keyTypes,
      keyIndexes.map((index) => row[index]!),
      out,
    );
    return out.finish();
  };
  const only = keyIndexes.length === 1 ? keyIndexes[0]! : -1;
  if (only >= 0) return { key, id: (row) => row[only] as EntityId | null };
  return { key, id: (row) => keyText(row, keyIndexes) };
}
