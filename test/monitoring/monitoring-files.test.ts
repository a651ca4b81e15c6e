import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { alerts } from "../../scripts/monitoring/alerts.ts";
import { DASHBOARDS } from "../../scripts/monitoring/dashboards.ts";
import { knownNames, metricNames } from "../../scripts/monitoring/metric-names.ts";
import { PENDING_METRICS } from "../../scripts/monitoring/pending-metrics.ts";
import { recordingRules, SLO_WINDOWS } from "../../scripts/monitoring/recording-rules.ts";
import { rulesYaml } from "../../scripts/monitoring/rules-yaml.ts";
import { monitoringFiles } from "../../scripts/monitoring-files.ts";
import { PREDICTION_BUCKETS } from "../../src/monitoring/families/buckets.ts";

const ROOT = path.join(import.meta.dirname, "..", "..");
const panels = DASHBOARDS.flatMap(({ name, rows }) =>
  rows.flatMap((row) => row.panels.map((panel) => ({ at: `${name}: ${panel.title}`, ...panel }))),
);

describe("the files for Prometheus and Grafana", () => {
  it.each([...monitoringFiles()])("%s is what `node scripts/monitoring-files.ts` makes", (file, text) => {
    expect(readFileSync(path.join(ROOT, "deploy", file), "utf8")).toBe(text);
  });

  it("are all that is there", () => {
    const there = globSync("{prometheus,grafana}/**/*.{json,yml}", { cwd: path.join(ROOT, "deploy") });
    expect(there.sort()).toEqual([...monitoringFiles().keys()].sort());
  });
});

describe("queries", () => {
  const queries = [
    ...panels.flatMap(({ at, queries }) => queries.map(({ expr }) => [at, expr] as const)),
    ...alerts(1).map(({ alert, expr }) => [alert, expr] as const),
    ...recordingRules(1).map(({ record, expr }) => [record, expr] as const),
  ];

  it("name only metrics that Millrace shows or that are recorded", () => {
    const known = knownNames();
    const unknown = queries.flatMap(([at, expr]) =>
      metricNames(expr)
        .filter((name) => !known.has(name) && !PENDING_METRICS.has(name))
        .map((name) => `${at}: ${name}`),
    );
    expect(unknown).toEqual([]);
    expect(new Set(queries.flatMap(([, expr]) => metricNames(expr))).size).toBeGreaterThan(60);
  });

  it("wait for no metric that is shown by now", () => {
    const known = knownNames();
    expect([...PENDING_METRICS].filter((name) => known.has(name))).toEqual([]);
  });

  it("show every family on a dashboard", () => {
    const shown = panels
      .flatMap(({ queries }) => queries)
      .flatMap(({ expr }) => metricNames(expr))
      .join(" ");
    const recorded = recordingRules(1)
      .filter(({ record }) => shown.includes(record))
      .map(({ expr }) => expr)
      .join(" ");
    const names = [...knownNames()]
      .filter((name) => !name.includes(":"))
      .map((name) => name.replace(/_(bucket|sum|count)$/, ""));
    expect([...new Set(names)].filter((name) => !shown.includes(name) && !recorded.includes(name))).toEqual([]);
  });

  it("divide the latencies at a bound of their buckets", () => {
    const bounds = recordingRules(1).flatMap(({ expr }) =>
      Array.from(expr.matchAll(/le="([^"]+)"/g), ([, le]) => Number(le)),
    );
    expect(bounds).toHaveLength(SLO_WINDOWS.length);
    for (const bound of bounds) expect(PREDICTION_BUCKETS).toContain(bound);
  });
});

describe("alerts", () => {
  it("have a page each, which their runbook_url names", () => {
    const urls = [...rulesYaml().matchAll(/runbook_url: (\S+)/g)].map(([, url]) => url!);
    expect(urls).toHaveLength(alerts(1).length);
    expect(urls.filter((url) => !existsSync(path.join(ROOT, url)))).toEqual([]);
    const pages = readdirSync(path.join(ROOT, "docs", "runbooks")).map((page) => page.replace(/\.md$/, ""));
    expect(pages.sort()).toEqual(
      alerts(1)
        .map(({ alert }) => alert)
        .sort(),
    );
  });
});

describe("panels", () => {
  it("have titles of their own on each dashboard, and say what they are about", () => {
    expect(new Set(panels.map(({ at }) => at)).size).toBe(panels.length);
    expect(panels.filter(({ about }) => !about.endsWith("."))).toEqual([]);
  });
});
