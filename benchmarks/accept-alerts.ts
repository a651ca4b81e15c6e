import { setTimeout as pause } from "node:timers/promises";
import {
  brokenUpdate,
  driftedFeature,
  modelGone,
  modelTurned,
  processHangs,
  storeDown,
  tryFaults,
  wrongValue,
} from "../integration/monitoring/alert-faults.ts";
import { startMonitoredWorld } from "../integration/monitoring/monitored-world.ts";
import { PENDING_METRICS } from "../scripts/monitoring/pending-metrics.ts";

/** How much shorter the rules' times are: an hour is a minute. */
const SCALE = 60;

/** Real faults of a real Millrace: each alert must fire, and end when the fault is mended. */
export async function run(): Promise<void> {
  await using world = await startMonitoredWorld({ scale: SCALE });
  await using _load = world.load();
  await pause(10_000);
  const isDriftShown = !PENDING_METRICS.has("millrace_feature_drift_detected");
  const faults = [
    wrongValue,
    modelTurned,
    brokenUpdate,
    storeDown,
    modelGone,
    processHangs,
    ...(isDriftShown ? [driftedFeature] : []),
  ];
  for (const fault of faults) {
    for (const { what, alert, firedAfter, endedAfter } of await tryFaults(world, [fault])) {
      process.stdout.write(
        `${what}: ${alert} fired after ${firedAfter.toFixed(0)} s, ended ${endedAfter.toFixed(0)} s after it was mended   (times of the rules / ${SCALE})\n`,
      );
    }
  }
}
