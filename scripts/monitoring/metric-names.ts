import { BEAM_SECTION, METRIC_SECTIONS } from "../../src/monitoring/metric-sections.ts";
import { recordingRules } from "./recording-rules.ts";

/** The names in a query that are metrics of Millrace, of the process, or recorded. */
export function metricNames(expr: string): readonly string[] {
  return expr.match(/\b(?:[a-z]+:)?(?:millrace|process|nodejs)_[a-z0-9_]+(?::[a-z0-9_]+)?/g) ?? [];
}

/** Every series' name that a scrape, also of a launcher of Beam's jobs, or the recording rules can give. */
export function knownNames(): ReadonlySet<string> {
  const families = [...METRIC_SECTIONS, BEAM_SECTION].flatMap((section) => section.families);
  return new Set([
    ...families.flatMap(({ name, type }) =>
      type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
    ...recordingRules(1).map(({ record }) => record),
  ]);
}
