import { afterAll, beforeAll, expect, it } from "vitest";
import { checkPanels, type PanelReport } from "./monitoring/check-panels.ts";
import { type MonitoredWorld, startMonitoredWorld } from "./monitoring/monitored-world.ts";

let world: MonitoredWorld;
let report: PanelReport;

beforeAll(async () => {
  world = await startMonitoredWorld({ scale: 60 });
  report = await checkPanels(world);
}, 240_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

it("show data in every panel, of a real Prometheus that scrapes a real Millrace", () => {
  expect(report.empty).toEqual([]);
  expect(report.withData).toBe(report.panels - report.pending.length);
  expect(report.panels).toBeGreaterThan(60);
});

it("are empty in a panel as soon as a metric of it is called otherwise, and so are the recording rules", () => {
  expect(report.blind).toEqual([]);
  expect(report.renamed).toBeGreaterThan(90);
});
