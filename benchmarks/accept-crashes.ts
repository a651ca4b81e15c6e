import type { StoresConfig } from "../src/pipeline/stores.ts";
import { type Crash, runWithCrashes } from "../test/crash/run-with-crashes.ts";

const POINTS = ["before-commit", "after-commit", "between-writes", "before-applied", "after-applied"];

/**
 * Acceptance: the process is killed with SIGKILL at 20 random moments of a replay and at each named point, restarted
 * each time; afterwards all features of all entities equal the oracle's. Without the recovery code they do not.
 */
export function run(args: readonly string[]): Promise<void> {
  return reportCrashes(args, async () => ({ online: { store: "lmdb" }, offline: { store: "duckdb" } }));
}

type Stores = Omit<StoresConfig, "data">;

/** `makeStores` names empty stores, anew for each report. */
export async function reportCrashes(args: readonly string[], makeStores: () => Promise<Stores>): Promise<void> {
  const seed = Number(args[0] ?? Date.now() % 2 ** 31);
  process.stdout.write(`seed ${seed}\n`);
  const random = mulberry32(seed);
  const moments = Array.from({ length: 20 }, (): Crash => ({ milliseconds: Math.floor(random() * 900) }));
  await report("20 random moments", moments, await makeStores());
  for (const point of POINTS) {
    await report(
      point,
      Array.from({ length: 3 }, (): Crash => ({ point, after: Math.floor(random() * 20) })),
      await makeStores(),
    );
  }
  const without = await runWithCrashes(
    [0, 1, 2].map((): Crash => ({ point: "after-commit", after: 5 + Math.floor(random() * 20) })),
    "no-recovery",
    await makeStores(),
  );
  process.stdout.write(
    `${"without the recovery code".padEnd(28)} ${without.mismatches} mismatches (aim: more than 0)\n`,
  );
  if (without.mismatches === 0) process.exitCode = 1;
}

async function report(what: string, crashes: readonly Crash[], stores: Stores): Promise<void> {
  const { crashes: died, entities, values, mismatches, examples } = await runWithCrashes(crashes, "recover", stores);
  process.stdout.write(
    `${what.padEnd(28)} ${died} crashes, ${entities} entities, ${values} values, ${mismatches} mismatches (aim: 0)\n`,
  );
  for (const example of examples) process.stdout.write(`  ${example}\n`);
  if (mismatches > 0) process.exitCode = 1;
}

/** A small random generator, so that a seed repeats a run. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
