import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { alerts } from "../scripts/monitoring/alerts.ts";
import { prometheusYaml, rulesYaml } from "../scripts/monitoring/rules-yaml.ts";
import { alertScenarios } from "./monitoring/alert-scenarios.ts";
import { prometheusTool } from "./services/prometheus-tool.ts";

const folder = mkdtempSync(path.join(tmpdir(), "millrace-rules-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function promtool(...args: readonly string[]): { readonly status: number | null; readonly said: string } {
  const { status, stdout, stderr } = spawnSync(prometheusTool("promtool"), args, { cwd: folder, encoding: "utf8" });
  return { status, said: stdout + stderr };
}

it("are rules and a configuration that Prometheus takes, also where their times are shortened", () => {
  writeFileSync(path.join(folder, "prometheus.yml"), prometheusYaml(["localhost:8080"]));
  for (const scale of [1, 60]) {
    writeFileSync(path.join(folder, "millrace-rules.yml"), rulesYaml(scale));
    expect(promtool("check", "rules", "millrace-rules.yml")).toMatchObject({ status: 0 });
    expect(promtool("check", "config", "prometheus.yml")).toMatchObject({ status: 0 });
  }
});

it("have a scenario for each alert", () => {
  expect(alertScenarios.map(({ alert }) => alert).sort()).toEqual(
    alerts(1)
      .map(({ alert }) => alert)
      .sort(),
  );
});

it.each(alertScenarios)("$alert is silent before its fault, fires during it and ends after it", (scenario) => {
  const { severity } = alerts(1).find(({ alert }) => alert === scenario.alert)!;
  writeFileSync(path.join(folder, "millrace-rules.yml"), rulesYaml(1, 60));
  const name = { __name__: "ALERTS", alertname: scenario.alert, alertstate: "firing" };
  const labels = Object.entries({ ...name, severity, ...scenario.labels }).map(([key, value]) => `${key}="${value}"`);
  const at = (time: string, fires: boolean): unknown => ({
    expr: `ALERTS{alertname="${scenario.alert}",alertstate="firing"}`,
    eval_time: time,
    exp_samples: fires ? [{ labels: `{${labels.join(",")}}`, value: 1 }] : [],
  });
  const tests = [
    {
      interval: "1m",
      input_series: scenario.series.map(([series, values]) => ({ series, values })),
      promql_expr_test: [at(scenario.silentAt, false), at(scenario.firesAt, true), at(scenario.endsAt, false)],
    },
  ];
  writeFileSync(
    path.join(folder, "test.yml"),
    stringify({ rule_files: ["millrace-rules.yml"], evaluation_interval: "1m", tests }),
  );
  const { said } = promtool("test", "rules", "test.yml");
  expect(said).toContain("SUCCESS");
});
