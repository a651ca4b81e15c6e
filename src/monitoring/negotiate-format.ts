export type ExpositionFormat = "text" | "openmetrics";

/** What to ask for where texts are joined later: it alone has exemplars. */
export const OPENMETRICS = "application/openmetrics-text; version=1.0.0";

interface Range {
  readonly type: string;
  readonly version: string | null;
  readonly quality: number;
}

/**
 * The format that an `Accept` header asks for: OpenMetrics 1.0.0 if it is named and preferred at least as much as
 * Prometheus' text format 0.0.4, else that one, also for a header that names neither.
 */
export function negotiateFormat(accept: string): ExpositionFormat {
  const ranges = accept.split(",").map(parseRange);
  const openmetrics = best(
    ranges,
    (range) => range.type === "application/openmetrics-text" && (range.version ?? "1.0.0") === "1.0.0",
  );
  const named = best(ranges, (range) => range.type === "text/plain" && (range.version ?? "0.0.4") === "0.0.4");
  return openmetrics > 0 && openmetrics >= named ? "openmetrics" : "text";
}

function best(ranges: readonly Range[], matches: (range: Range) => boolean): number {
  return Math.max(0, ...ranges.filter(matches).map((range) => range.quality));
}

function parseRange(text: string): Range {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  let version: string | null = null;
  let quality = 1;
  for (const parameter of parameters) {
    const [name, value = ""] = parameter.split("=").map((part) => part.trim());
    if (name === "version") version = value.replaceAll('"', "");
    if (name === "q") quality = Number.isNaN(Number.parseFloat(value)) ? 0 : Number.parseFloat(value);
  }
  return { type, version, quality };
}
