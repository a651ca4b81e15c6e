import type { Value } from "../../definitions/value.ts";
import type { Aggregation } from "../aggregations/aggregation.ts";
import type { FeatureRead, TileFamily, ViewLayout } from "./view-layout.ts";

/** How the wanted features of one tile size are read in one pass over the tiles, from the oldest to the newest. */
export interface FamilyReads {
  readonly family: TileFamily;
  /** The longest window of the family, wanted or not: an event in it makes the entity found. Milliseconds. */
  readonly longestMs: number;
  /** Of the lifetime family: the longest ttl, null for none; and whether a feature has neither window nor ttl. */
  readonly longestTtlMs: number | null;
  readonly forever: boolean;
  /** The wanted windows in milliseconds, the longest first: each lies within those before it. */
  readonly windows: readonly number[];
  /** Where each window starts; of the reading that is under way. */
  readonly starts: Float64Array;
  /** The slots that are read, ascending. */
  readonly slots: readonly SlotReads[];
}

export interface SlotReads {
  /** The index in the family. */
  readonly slot: number;
  readonly aggregation: Aggregation;
  /** By the index of the shortest window that holds a tile: which part the tile belongs to; −1 for none. */
  readonly partOf: readonly number[];
  /** What each of the slot's windows holds beyond the next shorter one; of the reading that is under way. */
  readonly parts: unknown[];
  /** The features that end at each part. */
  readonly features: readonly (readonly EndingFeature[])[];
}

export interface EndingFeature {
  /** The index in `view.features`. */
  readonly index: number;
  readonly read: FeatureRead;
  readonly finish: (state: unknown) => Value;
}

export function compileFamilyReads(layout: ViewLayout, index: number, wanted: readonly number[]): FamilyReads {
  const family = layout.families[index]!;
  const all = layout.features.filter((feature) => feature.family === index);
  const here = [...new Set(wanted)].filter((feature) => layout.features[feature]!.family === index);
  const windows = descending(here.map((feature) => layout.features[feature]!.windowMs ?? 0));
  const ttls = all.flatMap((feature) => (feature.ttlMs === null ? [] : [feature.ttlMs]));
  return {
    family,
    longestMs: Math.max(0, ...all.map((feature) => feature.windowMs ?? 0)),
    longestTtlMs: ttls.length === 0 ? null : Math.max(...ttls),
    forever: all.some((feature) => feature.windowMs === null && feature.ttlMs === null),
    windows,
    starts: new Float64Array(windows.length),
    slots: family.slots.flatMap((_, slot) => {
      const own = here.filter((feature) => layout.features[feature]!.slot === slot);
      return own.length === 0 ? [] : [slotReads(layout, family, slot, own, windows)];
    }),
  };
}

function slotReads(
  layout: ViewLayout,
  family: TileFamily,
  slot: number,
  indexes: readonly number[],
  windows: readonly number[],
): SlotReads {
  const own = descending(indexes.map((index) => layout.features[index]!.windowMs ?? 0));
  return {
    slot,
    aggregation: family.slots[slot]!.aggregation,
    partOf: windows.map((window) => own.findLastIndex((ownWindow) => ownWindow >= window)),
    parts: own.map(() => null),
    features: own.map((window) =>
      indexes
        .filter((index) => (layout.features[index]!.windowMs ?? 0) === window)
        .map((index) => {
          const read = layout.features[index]!;
          return { index, read, finish: (state: unknown) => read.aggregation.finish(state) };
        }),
    ),
  };
}

function descending(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => b - a);
}
