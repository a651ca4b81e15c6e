import type { EntityState } from "./entity-state.ts";
import { floorTo } from "./hop.ts";
import { tileStates, unpackTiles } from "./packed-tiles.ts";
import type { ViewLayout } from "./view-layout.ts";

/** The moments, in whole epoch milliseconds, at which a state reads the same: `after < t <= until`. */
export interface ReadingSpan {
  readonly after: number;
  readonly until: number;
}

/**
 * The span around `time` within which `readFeatures` gives the same values, statuses and flags: no window takes in or
 * leaves out a tile, no ttl runs out, and the entity's largest event time stays on the same side. Unpacks the tiles.
 */
export function readingSpan(layout: ViewLayout, state: EntityState, time: number): ReadingSpan {
  let after = Number.NEGATIVE_INFINITY;
  let until = Number.POSITIVE_INFINITY;
  /** The reading may change where t becomes larger than `moment`. */
  const change = (moment: number): void => {
    if (time > moment) after = Math.max(after, moment);
    else until = Math.min(until, moment);
  };
  change(state.maxEventTime);
  for (const feature of layout.features) {
    const family = layout.families[feature.family]!;
    const { windowMs, ttlMs } = feature;
    if (windowMs !== null) {
      // floor(t − w, hop) moves at t = k·hop + w; for whole t that is where t becomes larger than the moment before.
      const from = floorTo(time - windowMs, family.hopMs);
      after = Math.max(after, from + windowMs - 1);
      until = Math.min(until, from + family.hopMs + windowMs - 1);
    } else if (ttlMs !== null) {
      change(state.maxEventTime + 2 * ttlMs);
      const tile = unpackTiles(family, state.families[feature.family]!)[0];
      if (tile === undefined) continue;
      const at = feature.eventTimeOf!(tileStates(family, tile)[feature.slot]);
      if (at === null) continue;
      change(at + ttlMs);
      change(at + 2 * ttlMs);
    }
  }
  for (const [index, family] of layout.families.entries()) {
    // The lifetime tile is read at any time.
    if (family.hopMs === 0) continue;
    const tiles = unpackTiles(family, state.families[index]!);
    for (let i = tiles.length - 1; i >= 0; i--) {
      change(tiles[i]!.start);
      if (tiles[i]!.start < time) break;
    }
  }
  return { after, until };
}
