import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { onnxModels } from "../integration/services/onnx-models.ts";
import type { ModelRunner } from "../src/api/models/model-runner.ts";
import { onnxRunner } from "../src/api/models/onnx-runner.ts";
import { onnxModel } from "../src/api/models/onnx-thread-runner.ts";

const ROUNDS = 5;
const PREDICTIONS = 2_000;

/** What the calling thread could do meanwhile. */
export interface LoadStall {
  readonly seconds: number;
  /** The longest time in which the event loop had no turn, seconds. */
  readonly longestStall: number;
  readonly runner: ModelRunner;
}

/** Loads, and takes a turn of the event loop as often as it can. */
export async function measureStall(load: () => Promise<ModelRunner>): Promise<LoadStall> {
  const started = performance.now();
  let last = started;
  let longest = 0;
  let isDone = false;
  const turn = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  const runner = await load();
  isDone = true;
  const now = performance.now();
  return { seconds: (now - started) / 1_000, longestStall: Math.max(longest, now - last) / 1_000, runner };
}

/**
 * How long an ONNX model of tens of megabytes holds up its thread while it is loaded: on a thread of its own, as it is
 * served, and on the calling thread; and what the thread costs each prediction.
 */
export async function run(): Promise<void> {
  const models = onnxModels(200);
  try {
    const bytes = await readFile(join(models.folder, "large", "model.onnx"));
    // The library itself is loaded once per process.
    await (await onnxRunner(await readFile(join(models.folder, "regressor", "model.onnx")))).close();
    const results = new Map<string, LoadStall[]>();
    const idle: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const moved = Uint8Array.from(bytes);
      for (const [name, load] of [
        ["own thread", () => onnxModel(moved)],
        ["calling thread", () => onnxRunner(bytes)],
      ] as const) {
        const stall = await measureStall(load);
        results.set(name, [...(results.get(name) ?? []), stall]);
        // What the machine does to a thread that waits for nothing.
        idle.push((await measureStall(() => pause(stall.seconds * 1_000, stall.runner))).longestStall);
        if (round < ROUNDS - 1) await stall.runner.close();
      }
    }
    process.stdout.write(`An ONNX file of ${(bytes.length / 2 ** 20).toFixed(0)} MiB, ${ROUNDS} loads each:\n`);
    const ms = (values: readonly number[]): string =>
      `${(median(values) * 1_000).toFixed(1)} (up to ${(Math.max(...values) * 1_000).toFixed(1)}) ms`;
    for (const [name, stalls] of results) {
      const { runner } = stalls.at(-1)!;
      const perRow = await rowMicroseconds(runner);
      await runner.close();
      process.stdout.write(
        `  ${name}: loaded in ${ms(stalls.map(({ seconds }) => seconds))}; longest stall of the event loop ${ms(stalls.map(({ longestStall }) => longestStall))}; then a prediction of one row ${perRow.toFixed(0)} µs\n`,
      );
    }
    process.stdout.write(`  nothing, for as long: longest stall ${ms(idle)}\n`);
    process.stdout.write("  Aim: on its own thread a stall under 20 ms, which the P99 of others does not feel.\n");
  } finally {
    models.remove();
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

async function rowMicroseconds(runner: ModelRunner): Promise<number> {
  const { predict } = runner.prepare(["a", "b", "c"]);
  for (let i = 0; i < 200; i++) await predict([[1, 2, 3]]);
  const started = performance.now();
  for (let i = 0; i < PREDICTIONS; i++) await predict([[i / PREDICTIONS, 2, 3]]);
  return ((performance.now() - started) * 1_000) / PREDICTIONS;
}
