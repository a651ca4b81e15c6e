import { modelUpdates, type Spread } from "./model-updates.ts";

/**
 * Acceptance: under constant load at half of capacity, 50 versions in a row through a real MLflow, 10 of them broken
 * (`short`: 8 and 3). No request fails, none is answered by another version than the one that served when it was sent.
 * `big` takes models of about 20 MB.
 */
export async function run(args: readonly string[]): Promise<void> {
  const isShort = args.includes("short");
  const isBig = args.includes("big");
  const result = await modelUpdates({
    updates: isShort ? 8 : 50,
    broken: isShort ? 3 : 10,
    ballast: isBig ? { trees: 1_000, depth: 8 } : { trees: 100, depth: 6 },
    watchMs: 500,
    seed: 7,
    onUpdate: (what) => process.stderr.write(`${what}\n`),
  });
  const ms = ({ p50, p99, largest }: Spread): string =>
    `P50 ${p50.toFixed(2)}, P99 ${p99.toFixed(2)}, largest ${largest.toFixed(1)} ms`;
  const refused = Object.entries(result.refused).map(([what, times]) => `${times} ${what}`);
  process.stdout.write(
    [
      `load              ${result.perSecond} requests/s, half of ${Math.round(result.capacity)}; models of ${result.modelBytes} bytes`,
      `requests          ${result.requests}, failed ${result.failed} (aim: 0) ${result.failures.join("; ")}`,
      `wrong version     ${result.wrongVersion} (aim: 0), wrong value ${result.wrongValue} (aim: 0); ${result.versionsThatAnswered} versions answered`,
      `refused           ${refused.join(", ")}`,
      `alias to swap     ${ms(result.swap)}`,
      `memory            ${result.memory.join(", ")} MiB after a tenth of the updates, half, all (two versions are kept)`,
      `event loop        waited for at most ${1_000 * result.loopLag.p99} ms (P99), ${1_000 * result.loopLag.largest} ms (largest); had work and no core in ${(100 * result.starved).toFixed(1)}% of the time`,
      `latency, quiet    ${ms(result.quiet)}`,
      `latency, updates  ${ms(result.during)}`,
      "",
    ].join("\n"),
  );
  if (result.failed + result.wrongVersion + result.wrongValue > 0) process.exitCode = 1;
}
