import { type ExpositionFamily, parseExposition, seriesOf } from "./merge-expositions.ts";

/** Gauges of which each process has its share; of the others the largest value stands for all. */
const SHARED: ReadonlySet<string> = new Set([
  "millrace_prediction_requests_in_flight",
  "process_resident_memory_bytes",
  "process_open_fds",
]);

/**
 * What several processes rendered in the text format 0.0.4, as one: counters and histograms are added up, gauges too
 * where each process has its share, else the largest value is taken. Of `ended` processes, whose last texts they are,
 * only counters and histograms count, so that those never fall.
 */
export function sumExpositions(running: readonly string[], ended: readonly string[] = []): string {
  const metadata = new Map<string, ReadonlyMap<string, string>>();
  const values = new Map<string, Map<string, number>>();
  const add = (name: string, family: ExpositionFamily, isRunning: boolean): void => {
    const isGauge = !/ (?:counter|histogram)$/.test(family.metadata.get("TYPE") ?? "");
    if (isGauge && !isRunning) return;
    if (!metadata.has(name)) metadata.set(name, family.metadata);
    const known = values.get(name) ?? new Map<string, number>();
    values.set(name, known);
    for (const sample of family.samples) {
      const series = seriesOf(sample);
      const value = numberOf(sample.slice(series.length).trim());
      const before = known.get(series);
      if (before === undefined) known.set(series, value);
      else known.set(series, isGauge && !SHARED.has(name) ? Math.max(before, value) : before + value);
    }
  };
  for (const text of running) for (const [name, family] of parseExposition(text).families) add(name, family, true);
  for (const text of ended) for (const [name, family] of parseExposition(text).families) add(name, family, false);
  const lines = [...values].flatMap(([name, samples]) => [
    ...metadata.get(name)!.values(),
    ...Array.from(samples, ([series, value]) => `${series} ${textOf(value)}`),
  ]);
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** The same in OpenMetrics 1.0: families of counters are named without `_total` there. */
export function toOpenMetrics(text: string): string {
  const counters = new Set(Array.from(text.matchAll(/^# TYPE (\S+)_total counter$/gm), ([, name]) => name!));
  const lines = text.split("\n").map((line) => {
    const found = /^# (HELP|TYPE|UNIT) (\S+)_total( .*)?$/.exec(line);
    return found !== null && counters.has(found[2]!) ? `# ${found[1]} ${found[2]}${found[3] ?? ""}` : line;
  });
  return `${lines.join("\n").trimEnd()}\n# EOF\n`;
}

function numberOf(text: string): number {
  if (text.startsWith("+Inf")) return Infinity;
  return text.startsWith("-Inf") ? -Infinity : Number(text.split(" ", 1)[0]);
}

function textOf(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? String(value) : value > 0 ? "+Inf" : "-Inf";
}
