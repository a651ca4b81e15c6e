import type { SourceMeta } from "../definitions/source.ts";
import { metaNames } from "../feature_engineering/engine/meta-names.ts";
import type { OnlineStore } from "./online/online-store.ts";

/**
 * The moment at which a reader of these sources reads if no moment is named, epoch milliseconds: `wall()` if one of
 * them (or none at all) goes by the wall clock, else the largest of their stream clocks, 0 before their first event.
 */
export async function readSourceClock(
  online: Pick<OnlineStore, "readMeta">,
  sources: readonly Pick<SourceMeta, "name" | "clock">[],
  wall: () => number,
): Promise<number> {
  if (sources.length === 0 || sources.some((source) => source.clock === "wall")) return wall();
  const clocks = await online.readMeta(sources.map((source) => metaNames.clock(source.name)));
  return clocks.reduce((latest, clock) => Math.max(latest, clock === null ? 0 : Number(clock)), 0);
}
