import { drift } from "./dashboards/drift.ts";
import { featureStore } from "./dashboards/feature-store.ts";
import { ingestion } from "./dashboards/ingestion.ts";
import { models } from "./dashboards/models.ts";
import { overview } from "./dashboards/overview.ts";
import { runtime } from "./dashboards/runtime.ts";
import { serving } from "./dashboards/serving.ts";
import type { DashboardSpec } from "./panel.ts";

export const DASHBOARDS: readonly DashboardSpec[] = [
  overview,
  serving,
  models,
  featureStore,
  ingestion,
  drift,
  runtime,
];
