import * as beam from "./families/beam.ts";
import * as engine from "./families/engine.ts";
import * as featureStore from "./families/feature-store.ts";
import * as ingestion from "./families/ingestion.ts";
import * as quality from "./families/quality.ts";
import * as runtime from "./families/runtime.ts";
import * as serving from "./families/serving.ts";
import type { MetricFamily } from "./metric-family.ts";

export interface MetricSection {
  readonly title: string;
  readonly families: readonly MetricFamily[];
}

/** Every family that a running Millrace shows, as `docs/metrics.md` lists them. */
export const METRIC_SECTIONS: readonly MetricSection[] = [
  { title: "Serving", families: byName(serving) },
  { title: "Feature store", families: byName(featureStore) },
  { title: "Ingestion", families: byName(ingestion) },
  { title: "Engine", families: byName(engine) },
  { title: "Data and model quality", families: byName(quality) },
  { title: "Threads and process", families: byName(runtime) },
];

/** What the launcher of a job of Apache Beam shows, in a process of its own. */
export const BEAM_SECTION: MetricSection = {
  title: "Apache Beam (`millrace beam run --metrics`)",
  families: byName(beam),
};

function byName(families: Readonly<Record<string, MetricFamily>>): readonly MetricFamily[] {
  return Object.values(families).sort((a, b) => (a.name < b.name ? -1 : 1));
}
