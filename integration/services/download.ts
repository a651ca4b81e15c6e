import { type SpawnSyncOptions, type SpawnSyncReturns, spawnSync } from "node:child_process";

const TRIES = 3;
/** Before the second try; before the third it is twice as long. */
const PAUSE_MS = 3_000;

/** Runs a program that fetches something, once more if it fails: networks do at times. Gives what the last run gave. */
export function download(
  program: string,
  args: readonly string[],
  options: SpawnSyncOptions = {},
): SpawnSyncReturns<string> {
  for (let tried = 1; ; tried++) {
    const result = spawnSync(program, args, { maxBuffer: 2 ** 26, ...options, encoding: "utf8" });
    if (result.status === 0 || tried === TRIES) return result;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, tried * PAUSE_MS);
  }
}
