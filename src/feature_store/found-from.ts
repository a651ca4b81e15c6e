import { floorTo } from "../feature_engineering/windows/hop.ts";
import type { ViewLayout } from "../feature_engineering/windows/view-layout.ts";

/** How far back a view looks for any event of an entity; plain data. */
export interface FoundBounds {
  /** Milliseconds; Infinity for all of the past. */
  readonly ageMs: number;
  readonly windows: readonly (readonly [windowMs: number, hopMs: number])[];
}

export function foundBounds(layout: ViewLayout): FoundBounds {
  const windows = new Map<number, number>();
  let ageMs = 0;
  for (const { windowMs, ttlMs, family } of layout.features) {
    if (windowMs !== null) windows.set(windowMs, layout.families[family]!.hopMs);
    else ageMs = Math.max(ageMs, ttlMs === null ? Number.POSITIVE_INFINITY : 2 * ttlMs);
  }
  return { ageMs, windows: [...windows] };
}

/** The earliest event time, for a read at t, at which an event counts for any feature of the view: none is NOT_FOUND. */
export function foundFrom({ ageMs, windows }: FoundBounds): (time: number) => number {
  return (time) => {
    let from = time - ageMs;
    for (const [windowMs, hopMs] of windows) from = Math.min(from, floorTo(time - windowMs, hopMs));
    return from;
  };
}
