import { type ExpositionFamily, parseExposition, seriesOf } from "./merge-expositions.ts";

/** Gauges of which each process has its share; of the others the largest value stands for all. */
const SHARED: ReadonlySet<string> = new Set([
  "millrace_prediction_requests_in_flight",
  "process_resident_memory_bytes",
  "process_open_fds",
]);

/**
 * What several processes rendered in OpenMetrics, as one: counters and histograms are added up, gauges too where each
 * process has its share, else the largest value is taken. Of `ended` processes, whose last texts they are, only counters
 * and histograms count, so that those never fall. Of exemplars of one bucket the newest stays. Nothing of nothing.
 */
export function sumExpositions(running: readonly string[], ended: readonly string[] = []): string {
  const metadata = new Map<string, ReadonlyMap<string, string>>();
  const values = new Map<string, Map<string, Sum>>();
  const add = (name: string, family: ExpositionFamily, isRunning: boolean): void => {
    const isGauge = !/ (?:counter|histogram)$/.test(family.metadata.get("TYPE") ?? "");
    if (isGauge && !isRunning) return;
    if (!metadata.has(name)) metadata.set(name, family.metadata);
    const known = values.get(name) ?? new Map<string, Sum>();
    values.set(name, known);
    for (const sample of family.samples) {
      const series = seriesOf(sample);
      const [number = "", exemplar = ""] = sample.slice(series.length).split(EXEMPLAR);
      const value = numberOf(number.trim());
      const before = known.get(series);
      if (before === undefined) {
        known.set(series, { value, exemplar });
        continue;
      }
      before.value = isGauge && !SHARED.has(name) ? Math.max(before.value, value) : before.value + value;
      if (timeOf(exemplar) > timeOf(before.exemplar)) before.exemplar = exemplar;
    }
  };
  for (const text of running) for (const [name, family] of parseExposition(text).families) add(name, family, true);
  for (const text of ended) for (const [name, family] of parseExposition(text).families) add(name, family, false);
  const lines = [...values].flatMap(([name, samples]) => [
    ...metadata.get(name)!.values(),
    ...Array.from(samples, ([series, sum]) => `${series} ${textOf(sum.value)}${suffixOf(sum.exemplar)}`),
  ]);
  return lines.length === 0 ? "" : `${lines.join("\n")}\n# EOF\n`;
}

interface Sum {
  value: number;
  /** As it is written after the mark; empty if there is none. */
  exemplar: string;
}

/** The same in the text format 0.0.4: families of counters are named with `_total` there, and it has no exemplars. */
export function toTextFormat(openmetrics: string): string {
  const counters = new Set(Array.from(openmetrics.matchAll(/^# TYPE (\S+) counter$/gm), ([, name]) => name!));
  const lines = openmetrics.split("\n").flatMap((line) => {
    if (line === "# EOF") return [];
    if (!line.startsWith("#")) return [line.split(EXEMPLAR, 1)[0]!];
    const [, kind, name, rest = ""] = /^# (\S+) (\S+)( .*)?$/.exec(line) ?? [];
    return [name !== undefined && counters.has(name) ? `# ${kind} ${name}_total${rest}` : line];
  });
  return lines.join("\n");
}

const EXEMPLAR = " # {";

function suffixOf(exemplar: string): string {
  return exemplar === "" ? "" : `${EXEMPLAR}${exemplar}`;
}

/** An exemplar's timestamp, which is the last that is written of it. */
function timeOf(exemplar: string): number {
  return exemplar === "" ? Number.NEGATIVE_INFINITY : Number(exemplar.slice(exemplar.lastIndexOf(" ") + 1));
}

function numberOf(text: string): number {
  if (text.startsWith("+Inf")) return Infinity;
  return text.startsWith("-Inf") ? -Infinity : Number(text.split(" ", 1)[0]);
}

function textOf(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? String(value) : value > 0 ? "+Inf" : "-Inf";
}
