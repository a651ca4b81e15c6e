import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { metricsTable } from "../../scripts/metrics-table.ts";
import { METRIC_SECTIONS } from "../../src/monitoring/metric-sections.ts";

const families = METRIC_SECTIONS.flatMap((section) => section.families);

test("docs/metrics.md is what `node scripts/metrics-table.ts` makes of the code", () => {
  const file = path.join(import.meta.dirname, "..", "..", "docs", "metrics.md");
  expect(readFileSync(file, "utf8")).toBe(metricsTable());
});

test("the table lists every family once", () => {
  for (const { name } of families) expect(metricsTable().split(`| \`${name}\` |`)).toHaveLength(2);
});

test.each(families.map((family) => [family.name, family] as const))(
  "%s is named as Prometheus wants it",
  (name, family) => {
    expect(name).toMatch(/^(millrace|process|nodejs)_[a-z][a-z0-9_]*$/);
    expect(name.endsWith("_total")).toBe(family.type === "counter");
    expect(name).not.toMatch(/(_count|_sum|_bucket|_ms|_milliseconds|_kb)(_|$)/);
    if (/duration|lag_s|timestamp/.test(name)) expect(name).toMatch(/_seconds$/);
    expect(family.help).toMatch(/^[A-Z0-9].*\.$/);
    expect(family.labels.filter((label) => !/^[a-z][a-z_]*$/.test(label) || label === "le")).toEqual([]);
    expect(family.buckets.length > 0).toBe(family.type === "histogram");
    expect([...family.buckets]).toEqual([...new Set(family.buckets)].sort((a, b) => a - b));
  },
);
