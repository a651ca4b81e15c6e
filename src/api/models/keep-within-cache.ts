import type { ModelVersions } from "./model-versions.ts";
import type { VersionSlot } from "./version-loader.ts";

/**
 * Frees what was used least recently, versions kept for a rollback first, until all that is in memory takes at most
 * `cacheBytes`; never what was just loaded or is answering.
 */
export function keepWithinCache(models: Iterable<ModelVersions>, loaded: VersionSlot, cacheBytes: number): void {
  const held = [...models].flatMap((versions) =>
    [versions.previous, versions.serving].flatMap((slot) =>
      slot !== null && slot.resident !== null ? [{ versions, slot, isServing: slot === versions.serving }] : [],
    ),
  );
  let bytes = held.reduce((sum, { slot }) => sum + slot.sizeBytes, 0);
  held.sort((a, b) => Number(a.isServing) - Number(b.isServing) || a.slot.usedAt - b.slot.usedAt);
  for (const { versions, slot } of held) {
    if (bytes <= cacheBytes) return;
    if (slot === loaded || slot.inFlight > 0) continue;
    versions.evict(slot);
    bytes -= slot.sizeBytes;
  }
}
