import { millraceError } from "../definitions/errors.ts";

export interface ExpositionFamily {
  readonly metadata: Map<string, string>;
  readonly samples: string[];
}

export interface Exposition {
  readonly families: Map<string, ExpositionFamily>;
  readonly openmetrics: boolean;
}

/**
 * Joins what two threads rendered, both in the text format or both in OpenMetrics, into one exposition in which each
 * family stands once: a family that both have takes its metadata from the first and its samples from both. An empty
 * text adds nothing.
 *
 * @throws `METRICS_CLASH` (bug) if the formats differ, a family has two types, or a series stands in both.
 */
export function mergeExpositions(a: string, b: string): string {
  if (a.trim() === "") return b;
  if (b.trim() === "") return a;
  const first = parseExposition(a);
  const second = parseExposition(b);
  if (first.openmetrics !== second.openmetrics) {
    throw clash("One text is OpenMetrics and the other is not: render both with the same Accept header.");
  }
  for (const [name, family] of second.families) {
    const known = first.families.get(name);
    if (known === undefined) first.families.set(name, family);
    else merge(name, known, family);
  }
  const lines = Array.from(first.families.values()).flatMap((f) => [...f.metadata.values(), ...f.samples]);
  if (first.openmetrics) lines.push("# EOF");
  return `${lines.join("\n")}\n`;
}

function merge(name: string, into: ExpositionFamily, from: ExpositionFamily): void {
  if (into.metadata.get("TYPE") !== from.metadata.get("TYPE")) throw clash(`The family ${name} has two types.`);
  const series = new Set(into.samples.map(seriesOf));
  for (const sample of from.samples) {
    if (series.has(seriesOf(sample))) {
      throw clash(`The series ${seriesOf(sample)} stands in both texts: give each thread its own label.`);
    }
    into.samples.push(sample);
  }
}

/** A sample's name and labels. The closing brace is the last one: values and timestamps have none, but exemplars do. */
export function seriesOf(sample: string): string {
  const body = sample.split(" # {", 1)[0]!;
  const brace = body.lastIndexOf("}");
  return brace < 0 ? body.slice(0, body.indexOf(" ")) : body.slice(0, brace + 1);
}

export function parseExposition(text: string): Exposition {
  const families = new Map<string, ExpositionFamily>();
  let openmetrics = false;
  let current: ExpositionFamily | null = null;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    if (line === "# EOF") {
      openmetrics = true;
      continue;
    }
    const metadata = /^# (HELP|TYPE|UNIT) (\S+)/.exec(line);
    if (metadata !== null) {
      const [, kind, name] = metadata as unknown as [string, string, string];
      current = families.get(name) ?? { metadata: new Map(), samples: [] };
      families.set(name, current);
      current.metadata.set(kind, line);
    } else if (line.startsWith("#")) {
      // A comment means nothing, and where it belongs is unknown.
    } else if (current === null) {
      throw clash(`The sample "${line}" belongs to no family: what is merged must be what createMetrics renders.`);
    } else {
      current.samples.push(line);
    }
  }
  return { families, openmetrics };
}

function clash(message: string): Error {
  return millraceError("METRICS_CLASH", `The metrics of two threads cannot be joined. ${message}`, { kind: "bug" });
}
