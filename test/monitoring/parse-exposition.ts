/** What a scrape says, by family name as `# TYPE` gives it. */
export interface ParsedFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: ParsedSample[];
}

export interface ParsedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ParsedExposition {
  readonly openmetrics: boolean;
  readonly families: ReadonlyMap<string, ParsedFamily>;
  /** The value of the one series with exactly these labels; undefined if there is none. */
  value(sample: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

const SUFFIXES: Readonly<
  Record<string, { readonly text: readonly string[]; readonly openmetrics: readonly string[] }>
> = {
  counter: { text: [""], openmetrics: ["_total"] },
  gauge: { text: [""], openmetrics: [""] },
  histogram: { text: ["_bucket", "_sum", "_count"], openmetrics: ["_bucket", "_sum", "_count"] },
};

/**
 * Reads Prometheus' text format 0.0.4 or OpenMetrics 1.0.0 as strictly as this project writes them: each family stands
 * once, with help and type before its samples; no series stands twice; buckets ascend and end in `+Inf`, which is the
 * count. Throws a `SyntaxError` that names the line.
 */
export function parseExposition(body: string): ParsedExposition {
  const bad = (why: string, line: string): never => {
    throw new SyntaxError(`${why}: ${line}`);
  };
  if (!body.endsWith("\n")) bad("The last line does not end", body.slice(-40));
  const lines = body.slice(0, -1).split("\n");
  const openmetrics = lines.at(-1) === "# EOF";
  if (openmetrics) lines.pop();
  const families = new Map<string, ParsedFamily>();
  const series = new Set<string>();
  let current = null as { name: string; help: string | null; type: string | null; samples: ParsedSample[] } | null;
  for (const line of lines) {
    if (line === "") {
      if (openmetrics) bad("OpenMetrics has no empty lines", line);
      continue;
    }
    const metadata = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (metadata !== null) {
      const [, kind, name, rest] = metadata as unknown as [string, string, string, string];
      if (current?.name !== name) {
        if (families.has(name)) bad("The family stands twice", line);
        current = { name, help: null, type: null, samples: [] };
      }
      if (current.samples.length > 0) bad("Metadata after samples", line);
      if (kind === "HELP") current.help = rest;
      else current.type = rest;
      if (current.help !== null && current.type !== null) {
        if (families.has(name)) bad("The metadata stands twice", line);
        families.set(name, { type: current.type, help: current.help, samples: current.samples });
      }
      continue;
    }
    if (line.startsWith("#")) bad(openmetrics ? "Unknown comment" : "A comment that is no metadata", line);
    const sample = parseSample(line);
    if (sample === null) throw new SyntaxError(`No sample: ${line}`);
    const type = current?.type ?? bad("A sample outside a family", line);
    const suffixes: readonly string[] =
      SUFFIXES[type]?.[openmetrics ? "openmetrics" : "text"] ?? bad("Unknown type", line);
    if (!suffixes.some((suffix) => sample.name === `${current!.name}${suffix}`))
      bad("The sample is of another family", line);
    const id = seriesOf(sample.name, sample.labels);
    if (series.has(id)) bad("The series stands twice", line);
    series.add(id);
    current!.samples.push(sample);
  }
  for (const [name, family] of families) if (family.type === "histogram") checkHistogram(name, family.samples);
  const values = new Map(
    [...families.values()].flatMap((f) => f.samples).map((s) => [seriesOf(s.name, s.labels), s.value] as const),
  );
  return { openmetrics, families, value: (name, labels = {}) => values.get(seriesOf(name, labels)) };
}

function seriesOf(name: string, labels: Readonly<Record<string, string>>): string {
  return JSON.stringify([name, ...Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function parseSample(line: string): ParsedSample | null {
  const head = /^([a-zA-Z_:][a-zA-Z0-9_:]*)/.exec(line);
  if (head === null) return null;
  let at = head[0].length;
  const labels: Record<string, string> = {};
  if (line[at] === "{") {
    at++;
    while (line[at] !== "}") {
      const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(,(?=[a-zA-Z_])|(?=\}))/.exec(line.slice(at));
      if (label === null || label[1]! in labels) return null;
      labels[label[1]!] = label[2]!.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
      at += label[0].length;
    }
    at++;
  }
  const value = /^ (NaN|[+-]Inf|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)$/.exec(line.slice(at));
  return value === null ? null : { name: head[0], labels, value: numberOf(value[1]!) };
}

function numberOf(text: string): number {
  return Number(text.replace("Inf", "Infinity"));
}

function checkHistogram(name: string, samples: readonly ParsedSample[]): void {
  const groups = new Map<string, { buckets: [number, number][]; sum?: number; count?: number }>();
  for (const { name: sample, labels, value } of samples) {
    const { le, ...rest } = labels;
    const id = seriesOf(name, rest);
    const group = groups.get(id) ?? { buckets: [] };
    groups.set(id, group);
    if (sample.endsWith("_bucket")) group.buckets.push([numberOf(le ?? "NaN"), value]);
    else if (sample.endsWith("_sum")) group.sum = value;
    else group.count = value;
  }
  for (const [id, { buckets, sum, count }] of groups) {
    const ascend = buckets.every(
      ([le, value], i) => i === 0 || (le > buckets[i - 1]![0] && value >= buckets[i - 1]![1]),
    );
    const last = buckets.at(-1);
    if (!ascend || last?.[0] !== Number.POSITIVE_INFINITY || last[1] !== count || sum === undefined) {
      throw new SyntaxError(`The histogram ${id} is none.`);
    }
  }
}
