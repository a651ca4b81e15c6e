import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { loadModelFolder } from "../src/api/models/load-model-folder.ts";
import { xgboostRunner } from "../src/api/models/xgboost-runner.ts";
import { writeModel } from "../test/api/models/write-model.ts";

const SIZES = [
  { trees: 100, depth: 6 },
  { trees: 1_000, depth: 6 },
  { trees: 1_000, depth: 8 },
];
const FEATURES = Array.from({ length: 30 }, (_, i) => `f${i}`);

/** How long loading a model keeps the serving thread from answering: as it is loaded, and if it were parsed in place. */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-model-load-"));
  try {
    for (const ballast of SIZES) {
      const path = join(folder, `${ballast.trees}-${ballast.depth}`);
      await writeModel(path, { answer: 1, features: FEATURES, ballast });
      const bytes = await readFile(join(path, "model.json"));
      const loaded = await stallOf(async () => (await loadModelFolder(path)).runner.close());
      const here = await stallOf(async () => {
        await xgboostRunner(bytes).close();
      });
      process.stdout.write(
        `${ballast.trees} trees of depth ${ballast.depth}, ${(bytes.length / 2 ** 20).toFixed(1)} MiB of JSON: loaded in ${loaded.seconds.toFixed(2)} s, longest stall ${loaded.longest.toFixed(1)} ms; parsed in place ${here.longest.toFixed(1)} ms\n`,
      );
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The longest time between two turns of the event loop while `work` runs, milliseconds of the thread's own CPU time, so
 * that what else runs on the machine does not count.
 */
async function stallOf(work: () => Promise<void>): Promise<{ readonly seconds: number; readonly longest: number }> {
  let longest = 0;
  let isDone = false;
  const watched = (async () => {
    const cpu = (): number => {
      const { user, system } = process.threadCpuUsage();
      return (user + system) / 1_000;
    };
    for (let last = cpu(); !isDone; ) {
      await nextTurn();
      const now = cpu();
      longest = Math.max(longest, now - last);
      last = now;
    }
  })();
  await nextTurn();
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1_000;
  isDone = true;
  await watched;
  return { seconds, longest };
}
