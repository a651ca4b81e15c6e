import type { EntityErasure } from "../feature_store/erase-entity.ts";

/** An erasure as it is shown: without the key. */
export interface ErasureRecord {
  readonly id: number;
  readonly entity: string;
  /** Epoch milliseconds. */
  readonly until: number;
  readonly pending: boolean;
}

/** What the API asks about the life of stored data. A type, not an interface: other threads are called by it too. */
export type LifecycleBackend = {
  /** Erases one entity everywhere. Rejects with `ENTITY_UNKNOWN`, `ENTITY_KEY_INVALID`. */
  readonly erase: (entity: string, key: Readonly<Record<string, unknown>>) => Promise<EntityErasure>;
  /** Every erasure, by id. */
  readonly erasures: () => Promise<readonly ErasureRecord[]>;
};
