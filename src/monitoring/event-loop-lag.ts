import { type HistogramCell, observe } from "./histogram-cell.ts";

/** How often the lag is sampled, milliseconds. */
export const LAG_SAMPLE_MS = 20;
/** A suspended machine is no lag that anybody wants to see: of one stall at most this many samples are counted. */
const MAX_SAMPLES = 1_000;

/**
 * Counts a sample that was due `LAG_SAMPLE_MS` after the one before it and came `elapsedMs` after it. A stall makes one
 * late sample of many: those that it swallowed would have waited too, each 20 ms less.
 */
export function observeLag(cell: HistogramCell, elapsedMs: number): void {
  let wait = Math.max(0, elapsedMs - LAG_SAMPLE_MS);
  for (let i = 0; i < MAX_SAMPLES; i++) {
    observe(cell, wait / 1_000);
    wait -= LAG_SAMPLE_MS;
    if (wait <= 0) return;
  }
}
