import { fittedFlights } from "../integration/beam/fitted-flights.ts";
import type { FittedState } from "../src/feature_engineering/transforms/fitted-state.ts";

/**
 * Acceptance: `millrace beam fit` on an embedded Flink and the embedded training set, of the same real flights and the
 * same frame (a month's flights at their prediction times): `millrace.json` must be equal byte for byte. The services
 * are the example's and one with every kind of transform. Argument: parallelism (2).
 */
export async function run(args: readonly string[]): Promise<void> {
  const parallelism = Number(args[0] ?? 2);
  let started = performance.now();
  const flights = await fittedFlights();
  let failed = 0;
  try {
    print("history into DuckDB", seconds(started));
    for (const service of flights.services) {
      started = performance.now();
      const embedded = await flights.embedded(service);
      print(`${service}: embedded training set`, seconds(started));
      started = performance.now();
      const { manifest, rows, events } = await flights.beam(service, { parallelism });
      print(`${service}: beam fit`, `${seconds(started)}, ${rows} rows, ${events} events`);
      failed += compare(service, embedded, manifest);
    }
  } finally {
    await flights.close();
  }
  if (failed > 0) process.exitCode = 1;
}

/** How many transforms, and other parts, differ. */
function compare(service: string, expected: FittedState, found: FittedState): number {
  const transforms = Object.keys(expected.transforms);
  const kinds = new Set(Object.values(expected.transforms).map(({ kind }) => kind));
  const differ = transforms.filter(
    (id) => JSON.stringify(expected.transforms[id]) !== JSON.stringify(found.transforms[id]),
  );
  const isEqual = JSON.stringify(expected, null, 2) === JSON.stringify(found, null, 2);
  print(`${service}: transforms, kinds`, `${transforms.length}, ${kinds.size}`);
  print(`${service}: mismatches`, String(differ.length), "0");
  print(`${service}: millrace.json, with the profile`, isEqual ? "equal byte for byte" : "not equal", "equal");
  for (const id of differ.slice(0, 5)) {
    process.stdout.write(
      `  ${id}: ${JSON.stringify(expected.transforms[id])} ${JSON.stringify(found.transforms[id])}\n`,
    );
  }
  return differ.length + (isEqual ? 0 : 1);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1_000).toFixed(1)} s`;
}

function print(what: string, figure: string, aim = ""): void {
  process.stdout.write(`${what.padEnd(48)} ${figure}${aim === "" ? "" : `   aim: ${aim}`}\n`);
}
