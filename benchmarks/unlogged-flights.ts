/** The flights example as it serves without a prediction log: what is measured is the path of predictions. */
import { fileURLToPath } from "node:url";
import * as flights from "../examples/flight_delays/features.ts";
import { model, modelFolder, t } from "../src/index.ts";

const { flightDelay: _logged, lateArrivals: _outcome, ...rest } = flights;
export const declared: Readonly<Record<string, unknown>> = rest;
export const flightDelay: unknown = model("flight_delay", {
  inputs: flights.flightDelayFeatures,
  output: { probability: t.float64() },
  source: modelFolder(fileURLToPath(new URL("../examples/flight_delays/model", import.meta.url))),
});
