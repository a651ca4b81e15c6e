import { expect, it } from "vitest";
import { brokenUpdate, storeDown, tryFaults, wrongValue } from "./monitoring/alert-faults.ts";
import { startMonitoredWorld } from "./monitoring/monitored-world.ts";

it("fire while the hot store stands still, a new version is broken and a value was wrong, and end when all is mended", async () => {
  await using world = await startMonitoredWorld({ scale: 60 });
  await using _load = world.load();
  const store = { ...storeDown, alerts: ["MillraceHotStoreUnavailable", "MillraceIngestionStalled"] };
  const reports = await tryFaults(world, [wrongValue, store, brokenUpdate]);
  expect(reports.map(({ alert }) => alert)).toEqual([...wrongValue.alerts, ...store.alerts, ...brokenUpdate.alerts]);
});
