import { featureService, model, modelFolder, requestSource, t } from "../../src/index.ts";

/** The columns of a model that a caller knows all features of. */
const names = Array.from({ length: 30 }, (_, i) => `f${i}`);
const request = requestSource(Object.fromEntries(names.map((name) => [name, t.float64()])));

export const wide = featureService("wide_v1", { features: { ...request } });

export const wideModel = model("wide", {
  inputs: wide,
  output: { probability: t.float64() },
  source: modelFolder(process.env.PROTOCOLS_MODEL ?? "unset"),
});
