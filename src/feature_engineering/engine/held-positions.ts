import { type Position, packedPositions } from "../windows/entity-state.ts";
import type { ViewLayout } from "../windows/view-layout.ts";

/**
 * Up to where the values of one view version hold the events of each partition. What was folded here counts for every
 * value alike; a value that was found ahead of that (another process folded it, or this one before a crash) has entries
 * of its own.
 */
export interface HeldPositions {
  /** Up to where every value holds the partition's events; −1 if it is not known. */
  folded(partitionId: number): number;
  /** Every value holds the partition's events up to the offset. */
  advance(partitionId: number, offset: number): void;
  /** What holds since now is what was written: a value that another writer changed starts from here. */
  written(): void;
  /** Lets go of entries that say no more than what holds for every value. */
  prune(): void;
  /**
   * Notes what a loaded value holds by its own positions, and by the marks of its shard. `since`: whether the value is
   * to hold everything folded (`folded`), or what was folded since the last write is to be folded again (`written`).
   */
  loaded(row: number, bytes: Uint8Array | null, marks: ReadonlyMap<number, number>, since: "folded" | "written"): void;
  /** Whether the row holds the event by an entry of its own. */
  isAhead(row: number, partitionId: number, offset: number): boolean;
  /** The positions to be written with each value. */
  positionsFor(prunable: (partitionId: number) => number): (row: number) => readonly Position[];
  forget(row: number): void;
  clear(): void;
}

export function createHeldPositions(layout: ViewLayout): HeldPositions {
  const folded = new Map<number, number>();
  const base = new Map<number, number>();
  const ahead = new Map<number, Map<number, number>>();

  return {
    folded: (partitionId) => folded.get(partitionId) ?? -1,
    advance(partitionId, offset) {
      if (offset > (folded.get(partitionId) ?? -1)) folded.set(partitionId, offset);
    },
    written() {
      for (const [partitionId, offset] of folded) base.set(partitionId, offset);
    },
    prune() {
      for (const [row, own] of ahead) {
        for (const [partitionId, offset] of own) {
          if (offset <= (folded.get(partitionId) ?? -1)) own.delete(partitionId);
        }
        if (own.size === 0) ahead.delete(row);
      }
    },
    loaded(row, bytes, marks, since) {
      ahead.delete(row);
      const from = since === "folded" ? folded : base;
      let own: Map<number, number> | undefined;
      const note = (partitionId: number, offset: number): void => {
        if (offset <= (from.get(partitionId) ?? -1)) return;
        own ??= new Map();
        if (offset > (own.get(partitionId) ?? -1)) own.set(partitionId, offset);
      };
      for (const [partitionId, offset] of marks) note(partitionId, offset);
      if (bytes !== null) for (const [partitionId, offset] of packedPositions(layout, bytes)) note(partitionId, offset);
      if (own !== undefined) ahead.set(row, own);
    },
    isAhead(row, partitionId, offset) {
      if (ahead.size === 0) return false;
      const own = ahead.get(row);
      return own !== undefined && offset <= (own.get(partitionId) ?? -1);
    },
    positionsFor(prunable) {
      const kept = (positions: Iterable<Position>): Position[] =>
        [...positions].filter(([partitionId, offset]) => offset > prunable(partitionId)).sort((a, b) => a[0] - b[0]);
      const common = kept(folded);
      return (row) => {
        const own = ahead.get(row);
        if (own === undefined) return common;
        const all = new Map(folded);
        for (const [partitionId, offset] of own) {
          if (offset > (all.get(partitionId) ?? -1)) all.set(partitionId, offset);
        }
        return kept(all);
      };
    },
    forget(row) {
      ahead.delete(row);
    },
    clear() {
      folded.clear();
      base.clear();
      ahead.clear();
    },
  };
}
