import { floorTo } from "../feature_engineering/windows/hop.ts";
import type { ViewLayout } from "../feature_engineering/windows/view-layout.ts";

/** The earliest event time, for a read at t, at which an event counts for any feature of the view: none is NOT_FOUND. */
export function foundFrom(layout: ViewLayout): (time: number) => number {
  const windows = new Map<number, number>();
  let age = 0;
  for (const { windowMs, ttlMs, family } of layout.features) {
    if (windowMs !== null) windows.set(windowMs, layout.families[family]!.hopMs);
    else age = Math.max(age, ttlMs === null ? Number.POSITIVE_INFINITY : 2 * ttlMs);
  }
  const list = [...windows];
  return (time) => {
    let from = time - age;
    for (const [windowMs, hopMs] of list) from = Math.min(from, floorTo(time - windowMs, hopMs));
    return from;
  };
}
