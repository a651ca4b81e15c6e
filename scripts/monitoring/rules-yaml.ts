import { stringify } from "yaml";
import { alerts } from "./alerts.ts";
import { recordingRules } from "./recording-rules.ts";
import type { Scale } from "./scale.ts";

/** Where the pages of the alerts are; `millrace dashboards --runbooks` puts another address in its place. */
export const RUNBOOKS = "docs/runbooks";
export const MADE = "# Made by `node scripts/monitoring-files.ts`. Do not edit.\n";

/** A file of rules for Prometheus. `scale` makes their times shorter; `seconds`: how often they are evaluated. */
export function rulesYaml(scale: Scale = 1, seconds = 30): string {
  const interval = `${seconds}s`;
  const groups = [
    { name: "millrace-recorded", interval, rules: recordingRules(scale) },
    {
      name: "millrace-alerts",
      interval,
      rules: alerts(scale).map(({ alert, expr, for: held, severity, summary, description }) => ({
        alert,
        expr,
        for: held,
        labels: { severity },
        annotations: { summary, description, runbook_url: `${RUNBOOKS}/${alert}.md` },
      })),
    },
  ];
  return MADE + stringify({ groups }, { lineWidth: 0 });
}

/** The configuration of Prometheus that goes with the rules. `targets`: host and port of each Millrace. */
export function prometheusYaml(targets: readonly string[], seconds = 15): string {
  return (
    MADE +
    stringify({
      global: { scrape_interval: `${seconds}s`, evaluation_interval: `${seconds}s` },
      rule_files: ["millrace-rules.yml"],
      scrape_configs: [{ job_name: "millrace", static_configs: [{ targets }] }],
    })
  );
}
