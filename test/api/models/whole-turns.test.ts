import { channel } from "node:diagnostics_channel";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PREDICTION_BATCH_CHANNEL, type PredictionBatchEvent } from "../../../src/api/channels.ts";
import { createModelHost } from "../../../src/api/models/create-model-host.ts";
import { folderSourceOf } from "../../../src/api/models/folder-model-source.ts";
import type { ModelHost, WholePrediction } from "../../../src/api/models/model-host.ts";
import type { WholeRows } from "../../../src/api/models/predict-whole.ts";
import { featureService, type Model, model, modelFolder, requestSource, t } from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import { createFeatureStore } from "../../../src/feature_store/feature-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import { FIXTURES } from "./fixtures.ts";

const request = requestSource({ amount: t.float64(), n_trips: t.int32(), is_new: t.bool() });
const trips = featureService("trips_v1", {
  features: { amount: request.amount, n_trips: request.n_trips, is_new: request.is_new },
});
const FLAVORS = ["xgb-booster", "onnx"] as const;
let root: string;
let models: ModelHost;
const batches: PredictionBatchEvent[] = [];
const hear = (event: unknown): void => void batches.push(event as PredictionBatchEvent);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "millrace-turns-"));
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
  const features = createFeatureStore({
    views: [],
    services: [trips[Meta]],
    online: memoryOnlineStore(),
    offline: null,
    now: () => 0,
  });
  models = createModelHost({
    models: declared,
    features,
    pollSeconds: 3_600,
    cacheBytes: 2 ** 30,
    log: { info: () => {}, warn: () => {} },
    now: () => 0,
    sourceOf: (meta) => folderSourceOf(meta, { quietMs: 0 }),
  });
  await models.start();
  channel(PREDICTION_BATCH_CHANNEL).subscribe(hear);
});
afterAll(async () => {
  channel(PREDICTION_BATCH_CHANNEL).unsubscribe(hear);
  await models.close();
  await rm(root, { recursive: true, force: true });
});

type Row = readonly [number, number, boolean];
function rowsOf(form: "rows" | "single" | "double", table: readonly Row[]): WholeRows {
  if (form === "rows") return { kind: "rows", count: table.length, rows: table };
  const numbers = table.flat().map(Number);
  return {
    kind: "matrix",
    count: table.length,
    matrix: form === "single" ? Float32Array.from(numbers) : Float64Array.from(numbers),
  };
}
/** ONNX Runtime's last bits of a float32 depend on how many rows it is given. */
function expectClose(found: unknown, expected: unknown): void {
  const numbers: number[][] = [[], []];
  const shapes = [found, expected].map((value, i) =>
    JSON.stringify(value, (_key, one: unknown) => (typeof one === "number" ? numbers[i]!.push(one) && 0 : one)),
  );
  expect(shapes[0]).toBe(shapes[1]);
  for (const [i, one] of numbers[0]!.entries()) expect(Math.abs(one - numbers[1]![i]!)).toBeLessThan(1e-6);
}
const plain = ({ answers, ...rest }: WholePrediction): unknown =>
  answers.kind === "rows" ? { ...rest, answers } : { ...rest, values: [...answers.answers.values] };

const row = fc.tuple(fc.float({ noNaN: true, min: 0, max: 50 }), fc.integer({ min: 0, max: 9 }), fc.boolean());
const asked = fc.record({
  form: fc.constantFrom("rows" as const, "single" as const, "double" as const),
  table: fc.array(row, { minLength: 1, maxLength: 40 }),
});

it.each(FLAVORS)("requests of one turn get from %s what each gets alone, whatever their forms", async (flavor) => {
  const name = flavor.replace("-", "_");
  await fc.assert(
    fc.asyncProperty(fc.array(asked, { minLength: 2, maxLength: 8 }), async (list) => {
      const alone: unknown[] = [];
      for (const { form, table } of list) alone.push(plain(await models.predictWhole(name, rowsOf(form, table))));
      const at = batches.length;
      const all = await Promise.all(list.map(({ form, table }) => models.predictWhole(name, rowsOf(form, table))));
      if (flavor === "onnx") expectClose(all.map(plain), alone);
      else expect(all.map(plain)).toEqual(alone);
      for (const { rows, requests } of batches.slice(at)) {
        expect(rows).toBeLessThanOrEqual(64);
        expect(requests.length).toBeGreaterThan(1);
      }
    }),
    { numRuns: 60 },
  );
  batches.length = 0;
  await Promise.all([1, 2, 3].map((n) => models.predictWhole(name, rowsOf("single", [[n, 1, true]]))));
  expect(batches.map(({ rows }) => rows)).toEqual([3]);
});

it("one of a turn whose row is wrong fails alone, and of its own row", async () => {
  const good = rowsOf("double", [[1, 2, true]]);
  // No bool: the model of this flavor takes values, of their types.
  const wrong: WholeRows = { kind: "matrix", count: 1, matrix: Float64Array.of(1, 2.5, 7) };
  const [first, second, third] = await Promise.allSettled(
    [good, wrong, good].map((rows) => models.predictWhole("onnx", rows)),
  );
  expect(second).toMatchObject({ status: "rejected", reason: { code: "MODEL_INPUT_INVALID", details: { row: 0 } } });
  for (const one of [first!, third!]) expect(one.status).toBe("fulfilled");
});
