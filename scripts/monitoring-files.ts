import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DASHBOARDS } from "./monitoring/dashboards.ts";
import { grafanaDashboard } from "./monitoring/grafana-dashboard.ts";
import { grafanaProvisioning } from "./monitoring/grafana-provisioning.ts";
import { prometheusYaml, rulesYaml } from "./monitoring/rules-yaml.ts";

const DEPLOY = path.join(import.meta.dirname, "..", "deploy");

/** What `deploy/` holds for Prometheus and Grafana, by path in it. */
export function monitoringFiles(): ReadonlyMap<string, string> {
  return new Map([
    ["prometheus/prometheus.yml", prometheusYaml(["millrace:8080", "ingest:8080"])],
    ["prometheus/millrace-rules.yml", rulesYaml()],
    ...Array.from(grafanaProvisioning(), ([file, text]) => [`grafana/provisioning/${file}`, text] as const),
    ...DASHBOARDS.map(
      (spec) =>
        [`grafana/dashboards/${spec.name}.json`, `${JSON.stringify(grafanaDashboard(spec), null, 2)}\n`] as const,
    ),
  ]);
}

if (import.meta.main) {
  for (const [file, text] of monitoringFiles()) {
    mkdirSync(path.dirname(path.join(DEPLOY, file)), { recursive: true });
    writeFileSync(path.join(DEPLOY, file), text);
  }
}
