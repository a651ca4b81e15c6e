import { channel } from "node:diagnostics_channel";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PREDICTION_CHANNEL } from "../../../src/api/channels.ts";
import { createModelHost } from "../../../src/api/models/create-model-host.ts";
import { folderSourceOf } from "../../../src/api/models/folder-model-source.ts";
import type { ModelHost } from "../../../src/api/models/model-host.ts";
import { featureService, type Model, model, modelFolder, requestSource, t } from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import { createFeatureStore } from "../../../src/feature_store/feature-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import { FIXTURES } from "./fixtures.ts";

const request = requestSource({ amount: t.float64(), n_trips: t.int32(), is_new: t.bool() });
const trips = featureService("trips_v1", {
  features: { amount: request.amount, n_trips: request.n_trips, is_new: request.is_new },
});
const FLAVORS = ["xgb-booster", "xgb-classifier", "onnx"] as const;
let root: string;
let models: ModelHost;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "millrace-whole-"));
  for (const name of FLAVORS) await cp(join(FIXTURES, "mlflow", name), join(root, name), { recursive: true });
  const declared = FLAVORS.map(
    (name) =>
      (
        model(name.replace("-", "_"), {
          inputs: trips,
          output: name === "onnx" ? { no: t.float64(), yes: t.float64() } : { answer: t.float64() },
          source: modelFolder(join(root, name)),
        }) as Model<object, object>
      )[Meta],
  );
  models = createModelHost({
    models: declared,
    features: createFeatureStore({
      views: [],
      services: [trips[Meta]],
      online: memoryOnlineStore(),
      offline: null,
      now: () => 0,
    }),
    pollSeconds: 3_600,
    cacheBytes: 2 ** 30,
    log: { info: () => {}, warn: () => {} },
    now: () => 0,
    sourceOf: (meta) => folderSourceOf(meta, { quietMs: 0 }),
  });
  await models.start();
});
afterAll(async () => {
  await models.close();
  await rm(root, { recursive: true, force: true });
});

const tableOf = (count: number): (readonly [number, number, boolean])[] =>
  Array.from({ length: count }, (_, i) => [Math.fround(i * 0.37), i % 7, i % 2 === 0] as const);

describe("rows that come whole", () => {
  it.each(FLAVORS.flatMap((name) => [1, 3, 70, 2_500].map((count) => [name, count] as const)))(
    "get from %s, as %i rows of numbers or of values, what a prediction by lookup gives",
    async (flavor, count) => {
      const name = flavor.replace("-", "_");
      const table = tableOf(count);
      const rows = table.map(([amount, n_trips, is_new]) => ({ amount, n_trips, is_new }));
      const { predictions, version } = await models.predict(name, { rows });
      const values = await models.predictWhole(name, { kind: "rows", count, rows: table });
      expect(values).toMatchObject({ model: name, version, fallback: false, answers: { kind: "rows" } });
      expect(values.answers.kind === "rows" && values.answers.rows).toEqual(predictions);
      const matrix = Float32Array.from(table.flat(), Number);
      const numbers = await models.predictWhole(name, { kind: "matrix", count, matrix });
      const flat = predictions.flatMap((row) => Object.values(row));
      if (numbers.answers.kind === "matrix") expect([...numbers.answers.answers.values]).toEqual(flat);
      else expect(numbers.answers.rows.flatMap((row) => Object.values(row))).toEqual(flat);
    },
  );

  it("are published as predictions are", async () => {
    const events: unknown[] = [];
    const listen = (event: unknown): void => void events.push(event);
    channel(PREDICTION_CHANNEL).subscribe(listen);
    await models.predictWhole("xgb_booster", { kind: "rows", count: 2, rows: tableOf(2) });
    await expect(models.predictWhole("onnx", { kind: "rows", count: 1, rows: [["x", 1, true]] })).rejects.toThrow();
    channel(PREDICTION_CHANNEL).unsubscribe(listen);
    expect(events).toMatchObject([
      { model: "xgb_booster", rows: 2, outcome: "ok" },
      { model: "onnx", rows: 1, outcome: "MODEL_INPUT_INVALID" },
    ]);
  });
});
