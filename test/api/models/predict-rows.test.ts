import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createModelHost } from "../../../src/api/models/create-model-host.ts";
import { folderSourceOf } from "../../../src/api/models/folder-model-source.ts";
import type { ModelHost } from "../../../src/api/models/model-host.ts";
import { featureService, type Model, model, modelFolder, requestSource, t } from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import { createFeatureStore, type FeatureStore } from "../../../src/feature_store/feature-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import { FIXTURES } from "./fixtures.ts";

const request = requestSource({ amount: t.float64(), n_trips: t.int32(), is_new: t.bool() });
const trips = featureService("trips_v1", {
  features: { amount: request.amount, n_trips: request.n_trips, is_new: request.is_new },
});
const rowOf = (i: number): Readonly<Record<string, unknown>> => ({
  amount: i * 0.37,
  n_trips: i % 7,
  is_new: i % 2 === 0,
});
let root: string;
let models: ModelHost;
/** Rows of each read of the hot store. */
let reads: number[] = [];
/** Runs after each read. */
let afterRead: () => void = () => {};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "millrace-rows-"));
  const folder = join(root, "model");
  await cp(join(FIXTURES, "mlflow", "xgb-booster"), folder, { recursive: true });
  const store = createFeatureStore({
    views: [],
    services: [trips[Meta]],
    online: memoryOnlineStore(),
    offline: null,
    now: () => 0,
  });
  const features: FeatureStore = {
    ...store,
    async getOnlineFeatures(service, asked) {
      reads.push(asked.rows.length);
      const read = await store.getOnlineFeatures(service, asked);
      afterRead();
      return read;
    },
  };
  const declared = model("fare", { inputs: trips, output: { answer: t.float64() }, source: modelFolder(folder) });
  models = createModelHost({
    models: [(declared as Model<object, object>)[Meta]],
    features,
    pollSeconds: 3_600,
    cacheBytes: 2 ** 30,
    log: { info: () => {}, warn: () => {} },
    now: () => 0,
    sourceOf: (meta) => folderSourceOf(meta, { quietMs: 0 }),
  });
  await models.start();
});
beforeEach(() => {
  reads = [];
  afterRead = () => {};
});
afterAll(async () => {
  await models.close();
  await rm(root, { recursive: true, force: true });
});

describe("requests of one turn of the event loop", () => {
  it("share one read and one call of the model, and get what each would get alone", async () => {
    const sizes = [1, 1, 3, 1, 7, 1];
    const requests = sizes.map((size, r) => ({ rows: Array.from({ length: size }, (_, i) => rowOf(10 * r + i)) }));
    const together = await Promise.all(requests.map((one) => models.predict("fare", one)));
    expect(reads).toEqual([14]);
    for (const [r, one] of requests.entries()) {
      const { predictions, features, headOverlap } = await models.predict("fare", one);
      expect(together[r]).toMatchObject({ predictions, headOverlap });
      expect(together[r]!.features?.rows).toEqual(features?.rows);
      expect(together[r]!.features?.statuses).toEqual(features?.statuses);
    }
  });

  it("fail alone where one of them is wrong", async () => {
    const wrong = { ...rowOf(1), amount: "much" };
    const answers = await Promise.allSettled(
      [rowOf(0), wrong, rowOf(2)].map((row) => models.predict("fare", { rows: [row] })),
    );
    expect(answers.map((answer) => answer.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(answers[1]).toMatchObject({ reason: { code: "LOOKUP_INVALID" } });
  });

  it("are read apart where they ask for different moments", async () => {
    const moments = [5, 6, 5, undefined];
    const answers = await Promise.all(
      moments.map((asOf) => models.predict("fare", { rows: [rowOf(1)], ...(asOf === undefined ? {} : { asOf }) })),
    );
    expect(answers.map((answer) => answer.asOf)).toEqual([5, 6, 5, 0]);
    expect(reads.sort()).toEqual([1, 1, 2]);
  });

  it("are split at 64 rows, so that no call of the model keeps the thread for long", async () => {
    await Promise.all(Array.from({ length: 100 }, (_, i) => models.predict("fare", { rows: [rowOf(i)] })));
    expect(reads).toEqual([64, 36]);
  });
});

describe("a request past its deadline", () => {
  it("is dropped before it is read, and the others of its turn are not", async () => {
    const answers = await Promise.allSettled([
      models.predict("fare", { rows: [rowOf(0)], deadline: performance.now() - 1 }),
      models.predict("fare", { rows: [rowOf(1)] }),
    ]);
    expect(answers.map((answer) => answer.status)).toEqual(["rejected", "fulfilled"]);
    expect(answers[0]).toMatchObject({ reason: { code: "DEADLINE_EXCEEDED" } });
    expect(reads).toEqual([1]);
  });

  it("is dropped before it is predicted", async () => {
    const deadline = performance.now() + 20;
    afterRead = () => {
      while (performance.now() <= deadline);
    };
    await expect(models.predict("fare", { rows: [rowOf(0)], deadline })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
  });

  it("is dropped in the middle of a large batch", async () => {
    const deadline = performance.now() + 20;
    afterRead = () => {
      while (performance.now() <= deadline);
    };
    const rows = Array.from({ length: 300 }, (_, i) => rowOf(i));
    await expect(models.predict("fare", { rows, deadline })).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(reads).toEqual([64]);
  });
});
