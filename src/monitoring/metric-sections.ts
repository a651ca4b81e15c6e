import * as engine from "./families/engine.ts";
import * as featureStore from "./families/feature-store.ts";
import * as ingestion from "./families/ingestion.ts";
import * as runtime from "./families/runtime.ts";
import * as serving from "./families/serving.ts";
import type { MetricFamily } from "./metric-family.ts";

export interface MetricSection {
  readonly title: string;
  readonly families: readonly MetricFamily[];
}

/** Every family that Millrace shows, as `docs/metrics.md` lists them. */
export const METRIC_SECTIONS: readonly MetricSection[] = [
  { title: "Serving", families: Object.values(serving) },
  { title: "Feature store", families: Object.values(featureStore) },
  { title: "Ingestion", families: Object.values(ingestion) },
  { title: "Engine", families: Object.values(engine) },
  { title: "Threads and process", families: Object.values(runtime) },
];
