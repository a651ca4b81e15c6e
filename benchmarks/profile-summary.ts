import { readFileSync } from "node:fs";
import { basename } from "node:path";

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
  }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

/** The functions in which a thread spent most of its time, with their share of it in percent; of a file of --cpu-prof. */
export function profileSummary(path: string, most: number): string[] {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(path, "utf8")) as CpuProfile;
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url } }) => [
      id,
      url === "" ? functionName : `${functionName || "(anonymous)"} in ${basename(url)}`,
    ]),
  );
  const spent = new Map<string, number>();
  let total = 0;
  for (let i = 0; i < samples.length; i++) {
    const name = names.get(samples[i]!) ?? "(unknown)";
    if (name === "(idle)") continue;
    spent.set(name, (spent.get(name) ?? 0) + timeDeltas[i]!);
    total += timeDeltas[i]!;
  }
  return [...spent]
    .sort((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([name, time]) => `${((100 * time) / total).toFixed(1)}% ${name}`);
}
