import type { EntityState } from "../windows/entity-state.ts";

/** An entity's state in memory, and what the hot store is known to hold. */
export interface CachedEntity {
  readonly key: Uint8Array;
  /** Null until it is loaded. */
  state: EntityState | null;
  /** The stored revision; 0 if there is no value. */
  revision: number;
  /**
   * Offsets by partition up to which the value is known to hold every event, though its positions may not say so any
   * more; null if not needed.
   */
  floor: ReadonlyMap<number, number> | null;
  /** True while the state holds events that the store does not. */
  dirty: boolean;
}

/**
 * The most recently used entities of one view: two generations, of which the older is forgotten when the younger is
 * full. Holds between `capacity` and twice as many.
 */
export interface EntityCache {
  get(id: EntityId): CachedEntity | undefined;
  set(id: EntityId, entity: CachedEntity): void;
  delete(id: EntityId): void;
  readonly size: number;
}

/** Equal for equal keys within one view. */
export type EntityId = string | number | bigint | boolean;

export function createEntityCache(capacity: number): EntityCache {
  let young = new Map<EntityId, CachedEntity>();
  let old = new Map<EntityId, CachedEntity>();
  const set = (id: EntityId, entity: CachedEntity): void => {
    if (young.size >= capacity) {
      old = young;
      young = new Map();
    }
    young.set(id, entity);
  };
  return {
    get: (id) => {
      const found = young.get(id);
      if (found !== undefined) return found;
      const older = old.get(id);
      if (older !== undefined) set(id, older);
      return older;
    },
    set,
    delete: (id) => {
      young.delete(id);
      old.delete(id);
    },
    get size() {
      return young.size + old.size;
    },
  };
}
