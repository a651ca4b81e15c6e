import { stringify } from "yaml";
import { alerts } from "./alerts.ts";
import { MADE, RUNBOOKS } from "./rules-yaml.ts";

/** The data source's name in the provisioned files: dashboards let it be chosen, alerts need it. */
const UID = "millrace-prometheus";

/** Files of Grafana's provisioning folder by their path in it. */
export function grafanaProvisioning(): ReadonlyMap<string, string> {
  return new Map([
    ["datasources/prometheus.yml", MADE + stringify({ apiVersion: 1, datasources: [dataSource] })],
    ["dashboards/millrace.yml", MADE + stringify({ apiVersion: 1, providers: [provider] })],
    ["alerting/millrace.yml", MADE + stringify({ apiVersion: 1, groups: [alertGroup()] }, { lineWidth: 0 })],
  ]);
}

const dataSource = {
  name: "Prometheus",
  uid: UID,
  type: "prometheus",
  access: "proxy",
  url: "$MILLRACE_PROMETHEUS_URL",
  isDefault: true,
  jsonData: { timeInterval: "15s", httpMethod: "POST" },
};

const provider = {
  name: "millrace",
  folder: "Millrace",
  type: "file",
  disableDeletion: true,
  updateIntervalSeconds: 30,
  options: { path: "/var/lib/grafana/dashboards/millrace" },
};

/** The rules of Prometheus, as Grafana's own alerting evaluates them over Prometheus. */
function alertGroup(): unknown {
  return {
    orgId: 1,
    name: "millrace",
    folder: "Millrace",
    interval: "30s",
    rules: alerts(1).map(({ alert, expr, for: held, severity, summary, description }) => ({
      uid: alert.replace(/[A-Z]/g, (letter, at: number) => `${at === 0 ? "" : "-"}${letter.toLowerCase()}`),
      title: alert,
      condition: "fires",
      data: [
        {
          refId: "value",
          relativeTimeRange: { from: 600, to: 0 },
          datasourceUid: UID,
          model: { refId: "value", expr, instant: true },
        },
        {
          refId: "fires",
          datasourceUid: "__expr__",
          // A series in the answer means that the condition holds, also where its value is 0.
          model: {
            refId: "fires",
            type: "threshold",
            expression: "value",
            conditions: [{ evaluator: { type: "gt", params: [Number.MIN_SAFE_INTEGER] } }],
          },
        },
      ],
      for: held,
      noDataState: "OK",
      execErrState: "Error",
      labels: { severity },
      annotations: {
        summary: grafanaTemplate(summary),
        description: grafanaTemplate(description),
        runbook_url: `${RUNBOOKS}/${alert}.md`,
      },
    })),
  };
}

/** Grafana calls the value of a query by its letter, and dollar signs of files are its variables. */
function grafanaTemplate(text: string): string {
  return text.replaceAll("$value", "$values.value.Value").replaceAll("$", "$$$$");
}
