import { firstAfter, type LabelQuery } from "./point-in-time.ts";

/**
 * Finds each label's latest event without sorting: an event belongs to the first label of its entity that lies after
 * it, each label keeps the greatest of its events, and a label without any has the one of the label before it. Events
 * are compared by (time, version); those that tie are collected for the caller, who knows the rest of their order.
 */
export interface LatestSlots {
  /** Offers an event. `row` is the store's number of it; `version` is {@link noVersion} for null and for none. */
  add(entity: number, time: number, version: number | bigint, row: number): void;
  /** Events that tie for a label, as pairs of rows; null if there were too many to keep. */
  ties(): Float64Array | null;
  /** Per label the row of its latest event, −1 for none. `isGreater(a, b)` tells of two rows that tie. */
  finish(isGreater: (a: number, b: number) => boolean): Float64Array;
}

/** Smaller than every version. */
export const noVersion: number = Number.NEGATIVE_INFINITY;

const MAX_TIES = 2_000_000;

/** `maxTies` is how many ties are kept before `ties` gives null. */
export function createLatestSlots(
  { starts, times, version: kind }: Pick<LabelQuery, "starts" | "times" | "version">,
  maxTies: number = MAX_TIES,
): LatestSlots {
  const bestTimes = new Float64Array(times.length).fill(Number.NEGATIVE_INFINITY);
  const bestRows = new Float64Array(times.length).fill(-1);
  const bestVersions: { [slot: number]: number | bigint } =
    kind === "int64" ? new Array(times.length).fill(noVersion) : new Float64Array(times.length).fill(noVersion);
  const tiedSlots: number[] = [];
  const tiedRows: number[] = [];
  /** Per slot, the ties before this index are with an event that was surpassed. */
  const tiedFrom = new Int32Array(times.length);

  function live(): number[] {
    const indexes: number[] = [];
    for (let i = 0; i < tiedRows.length; i++) if (i >= tiedFrom[tiedSlots[i]!]!) indexes.push(i);
    return indexes;
  }

  return {
    add(entity, time, version, row) {
      const end = starts[entity + 1]!;
      const slot = firstAfter(times, starts[entity]!, end, time);
      if (slot === end) return;
      const best = bestTimes[slot]!;
      if (time < best) return;
      if (time === best && !(version > bestVersions[slot]!)) {
        if (version < bestVersions[slot]!) return;
        if (tiedRows.length < maxTies) {
          tiedSlots.push(slot);
          tiedRows.push(row);
        }
        return;
      }
      bestTimes[slot] = time;
      bestRows[slot] = row;
      bestVersions[slot] = version;
      tiedFrom[slot] = tiedRows.length;
    },
    ties() {
      if (tiedRows.length >= maxTies) return null;
      return Float64Array.from(live().flatMap((i) => [bestRows[tiedSlots[i]!]!, tiedRows[i]!]));
    },
    finish(isGreater) {
      for (const i of live()) {
        const slot = tiedSlots[i]!;
        if (isGreater(tiedRows[i]!, bestRows[slot]!)) bestRows[slot] = tiedRows[i]!;
      }
      for (let entity = 0; entity + 1 < starts.length; entity++) {
        // The events of a later label lie at or after the earlier one, so they are all greater.
        for (let slot = starts[entity]! + 1; slot < starts[entity + 1]!; slot++) {
          if (bestRows[slot] === -1) bestRows[slot] = bestRows[slot - 1]!;
        }
      }
      return bestRows;
    },
  };
}
