import { expect, it } from "vitest";
import { brokenUpdate, storeDown, tryFaults } from "./monitoring/alert-faults.ts";
import { startMonitoredWorld } from "./monitoring/monitored-world.ts";

it("fire while the hot store stands still and a new version is broken, and end when both are mended", async () => {
  await using world = await startMonitoredWorld({ scale: 60 });
  await using _load = world.load();
  const store = { ...storeDown, alerts: ["MillraceHotStoreUnavailable", "MillraceIngestionStalled"] };
  const reports = await tryFaults(world, [store, brokenUpdate]);
  expect(reports.map(({ alert }) => alert)).toEqual([...store.alerts, ...brokenUpdate.alerts]);
}, 150_000);
