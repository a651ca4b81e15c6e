/**
 * To be imported before Millrace (`node --import`): writes the exact durations of predictions, as the process itself
 * measured them, into the file that NOTED_DURATIONS names when the process ends: model, epoch ms, seconds.
 */
import { subscribe } from "node:diagnostics_channel";
import { writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { PREDICTION_CHANNEL, type PredictionEvent } from "../../src/api/channels.ts";

const file = process.env.NOTED_DURATIONS;
if (file !== undefined && isMainThread) {
  const noted: string[] = [];
  subscribe(PREDICTION_CHANNEL, (message) => {
    const { model, outcome, seconds } = message as PredictionEvent;
    if (outcome === "ok") noted.push(`${model} ${Date.now()} ${seconds}`);
  });
  process.on("exit", () => writeFileSync(file, noted.join("\n")));
}
