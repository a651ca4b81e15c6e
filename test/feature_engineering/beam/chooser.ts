import type { Choose } from "./script-host.ts";

/** Chooses by a seed. */
export function chooser(seed: number): Choose {
  let state = seed | 1;
  return (below) => {
    // Xorshift: G. Marsaglia, "Xorshift RNGs" (2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
