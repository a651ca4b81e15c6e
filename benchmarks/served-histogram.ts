/** How many were at most so long, by upper bound in seconds; counted since the server began. */
export type Histogram = ReadonlyMap<number, number>;

/** Reads a histogram of a server's `/metrics`, of the one series that has this label. */
export async function servedHistogram(url: string, name: string, label: string): Promise<Histogram> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const counts = new Map<number, number>();
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name}_bucket{`) || !line.includes(label)) continue;
    const [, bound, count] = /le="([^"]+)"[^}]*\} (\S+)/.exec(line)!;
    counts.set(Number(bound!.replace("+Inf", "Infinity")), Number(count));
  }
  return counts;
}

/** The quantile of what came between the two, linear within a bucket, as Prometheus has it; milliseconds. */
export function quantileBetween(before: Histogram, after: Histogram, q: number): number {
  const counts = [...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)] as const);
  const wanted = q * (counts.at(-1)?.[1] ?? Number.NaN);
  let [from, fewer] = [0, 0];
  for (const [bound, count] of counts) {
    if (count >= wanted)
      return 1_000 * (bound === Infinity ? from : from + ((bound - from) * (wanted - fewer)) / (count - fewer));
    [from, fewer] = [bound, count];
  }
  return Number.NaN;
}
