import type { Value } from "../../definitions/value.ts";
import { type EntityState, tileStates } from "./entity-state.ts";
import { floorTo } from "./hop.ts";
import type { FeatureRead, ViewLayout } from "./view-layout.ts";

/** What a feature's value means. The names are Feast's. */
export type FeatureStatus = "PRESENT" | "NULL_VALUE" | "NOT_FOUND" | "OUTSIDE_MAX_AGE";

/** The values of one view's features for one entity, in the order of `view.features`. */
export interface ViewReading {
  readonly values: Value[];
  readonly statuses: FeatureStatus[];
  /** False if no event of the entity lies in any window, or within twice a ttl, before t. */
  found: boolean;
  /** True if an event at or after t was folded in: the newest tile may then hold more than the window. */
  headOverlap: boolean;
  /** True if a tile that a window needs was dropped: the values are not those at t. */
  tooOld: boolean;
}

export function createViewReading(layout: ViewLayout): ViewReading {
  return {
    values: layout.features.map(() => null),
    statuses: layout.features.map(() => "NOT_FOUND"),
    found: false,
    headOverlap: false,
    tooOld: false,
  };
}

/**
 * Reads every feature of the view at `time` (epoch milliseconds): a window covers `floor(t − w, hop) <= event_time < t`.
 * `state` is null for an entity without a value; `expiredBefore` is the moment up to which whole values were dropped
 * (−Infinity: none).
 */
export function readFeatures(
  layout: ViewLayout,
  state: EntityState | null,
  time: number,
  into: ViewReading,
  expiredBefore: number = Number.NEGATIVE_INFINITY,
): void {
  into.found = false;
  into.headOverlap = state !== null && state.maxEventTime >= time;
  into.tooOld = false;
  const { features } = layout;
  for (let index = 0; index < features.length; index++)
    readFeature(layout, features[index]!, index, state, time, into, expiredBefore);
  for (let index = 0; index < features.length; index++) {
    const fallback = features[index]!.default;
    if (!into.found) into.statuses[index] = "NOT_FOUND";
    if (into.values[index] === null && fallback !== undefined) into.values[index] = fallback;
  }
}

function readFeature(
  layout: ViewLayout,
  feature: FeatureRead,
  index: number,
  state: EntityState | null,
  time: number,
  into: ViewReading,
  expiredBefore: number,
): void {
  const family = layout.families[feature.family]!;
  const { aggregation, slot, windowMs } = feature;
  const tiles = state?.families[feature.family];
  let merged: unknown = aggregation.create();
  let outside = false;
  if (windowMs !== null) {
    const from = floorTo(time - windowMs, family.hopMs);
    if (from < (tiles?.completeFrom ?? expiredBefore)) into.tooOld = true;
    if (tiles !== undefined) {
      for (let i = tiles.tiles.length - 1; i >= 0; i--) {
        const tile = tiles.tiles[i]!;
        if (tile.start >= time) continue;
        if (tile.start < from) break;
        into.found = true;
        merged = aggregation.merge(merged, tileStates(family, tile)[slot]);
      }
    }
  } else if (tiles === undefined) {
    if (feature.ttlMs !== null && time - 2 * feature.ttlMs < expiredBefore) into.tooOld = true;
  } else if (tiles.tiles.length > 0) {
    const kept = tileStates(family, tiles.tiles[0]!)[slot];
    const { ttlMs } = feature;
    if (ttlMs === null) {
      into.found = true;
      merged = kept;
    } else {
      if (state!.maxEventTime >= time - 2 * ttlMs) into.found = true;
      const at = feature.eventTimeOf!(kept);
      if (at !== null && at >= time - ttlMs) merged = kept;
      else if (at !== null && at >= time - 2 * ttlMs) outside = true;
    }
  }
  const value = aggregation.finish(merged);
  into.values[index] = value;
  into.statuses[index] = value !== null && !outside ? "PRESENT" : outside ? "OUTSIDE_MAX_AGE" : "NULL_VALUE";
}
