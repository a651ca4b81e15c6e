/** Equal for equal keys within one view. */
export type EntityId = string | number | bigint | boolean;

/** Gives the entities of one view row numbers, and takes back those of the ones that were not used for longest. */
export interface EntityRows {
  /** The entity's row; −1 if it has none. Counts as a use. */
  find(id: EntityId): number;
  add(id: EntityId): number;
  idOf(row: number): EntityId;
  /** Takes rows back if so many others were used since and `forget` agrees; of them, up to twice `capacity` stay. */
  evict(forget: (row: number) => boolean): void;
  readonly size: number;
}

export function createEntityRows(capacity: number): EntityRows {
  const rows = new Map<EntityId, number>();
  const ids: (EntityId | undefined)[] = [];
  const free: number[] = [];
  /** The generation in which each row was used last. A generation is over when it used `capacity` rows. */
  let used = new Uint32Array(1_024);
  let generation = 1;
  let young = 0;
  let isOver = false;

  function use(row: number): void {
    if (used[row] === generation) return;
    used[row] = generation;
    if (++young < capacity) return;
    generation++;
    young = 0;
    isOver = true;
  }

  return {
    find(id) {
      const row = rows.get(id);
      if (row === undefined) return -1;
      use(row);
      return row;
    },
    add(id) {
      const row = free.pop() ?? ids.length;
      if (row >= used.length) {
        const more = new Uint32Array(used.length * 2);
        more.set(used);
        used = more;
      }
      ids[row] = id;
      rows.set(id, row);
      used[row] = 0;
      use(row);
      return row;
    },
    idOf: (row) => ids[row]!,
    evict(forget) {
      if (!isOver) return;
      isOver = false;
      for (let row = 0; row < ids.length; row++) {
        const id = ids[row];
        if (id === undefined || used[row]! >= generation - 1 || !forget(row)) continue;
        rows.delete(id);
        ids[row] = undefined;
        free.push(row);
      }
    },
    get size() {
      return rows.size;
    },
  };
}
