import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { folderModelSource } from "../../../src/api/models/folder-model-source.ts";
import { loadServedModel } from "../../../src/api/models/served-model.ts";
import {
  CategoricalTransform,
  count,
  derive,
  entity,
  featureService,
  featureView,
  label,
  latest,
  mean,
  memory,
  model,
  modelFolder,
  NumericTransform,
  requestSource,
  streamSource,
  sum,
  t,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import { collectDeclarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { createFeatureStore, type FeatureStore } from "../../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import { createTrainingSet, type TrainingSet } from "../../../src/feature_store/training-set.ts";
import { createPipeline } from "../../../src/pipeline/pipeline.ts";
import { writeModel } from "./write-model.ts";

const orders = streamSource("orders", {
  stream: memory(),
  clock: "stream",
  eventTime: "at",
  lateness: "1m",
  schema: {
    customer: t.string(),
    amount: t.float64(),
    cents: t.int64(),
    city: t.string().nullable(),
    at: t.timestamp(),
  },
});
const habits = featureView("habits", {
  source: orders,
  entity: entity("customer", { customer: t.string() }),
  features: {
    n: count().over("1h"),
    spend: sum(orders.amount).over("1h"),
    average: mean(orders.amount).over("1h"),
    cents: latest(orders.cents),
    city: latest(orders.city),
  },
});
const request = requestSource({ price: t.float64().nullable(), channel: t.oneOf("app", "web", "shop") });
const average = NumericTransform.of(habits.average);
const city = CategoricalTransform.of(habits.city);
const late = label("late", t.bool());
const outcome = label("outcome", t.oneOf("kept", "returned", "lost"));
const paid = label("paid", t.float64().nullable());

/** Every transform, of view features, request columns, a derive, and in chains. */
const service = featureService("transformed", {
  features: {
    plain: habits.n,
    log: NumericTransform.of(habits.spend).clip(0, 500).log1p(),
    standard: average.standardize(),
    mean_filled: average.impute("mean"),
    median_filled: average.impute("median").standardize(),
    most: average.impute("most_frequent"),
    scaled: average.minMax({ range: [-1, 1], clip: true }),
    magnitude: NumericTransform.of(habits.cents).maxAbs(),
    robust: average.fillNull(0).robust({ percentiles: [10, 90], unitVariance: true }),
    rank: average.quantile({ quantiles: 7 }),
    normal: NumericTransform.of(request.price).quantile({ output: "normal" }).clip(-2, 2),
    yeo: NumericTransform.of(request.price).power(),
    box: NumericTransform.of(habits.spend).power({ method: "box_cox" }),
    bin: average.kBins(4),
    bins: NumericTransform.of(request.price).kBins(3, { strategy: "kmeans", encode: "one_hot" }),
    widths: NumericTransform.of(habits.spend).kBins(3, { strategy: "uniform" }),
    city: city.impute("most_frequent"),
    home: city.oneHot(["Ghent", "Paris"], { nulls: "category" }),
    top: city.oneHot({ maxCategories: 3, unknown: "infrequent" }),
    code: city.ordinal(),
    rare: city.ordinal({ minFrequency: 2, unknown: null, nulls: -2 }),
    often: city.frequency({ relative: true, nulls: "category" }),
    risk: city.target(late),
    spent: CategoricalTransform.of(request.channel).target(paid, { smooth: 2 }),
    ends: city.target(outcome, { nulls: "category" }),
    bucket: city.hash(8, { algorithm: "murmur3_32" }),
    hashed: city.hashColumns(2),
    ratio: NumericTransform.of(
      derive({ s: average.standardize(), p: request.price }, t.float64().nullable(), ({ s, p }) =>
        s === null || p === null ? null : s * p,
      ),
    ).standardize(),
    risk_scaled: NumericTransform.of(city.target(late)).minMax(),
  },
});
const scored = model("scored", { inputs: service, output: { score: t.float64() }, source: modelFolder("unused") });
const declarations = collectDeclarations({ orders, habits, service, scored });

const HOUR = 3_600_000;
const CITIES = ["Ghent", "Paris", null, "Oslo", "Rome", "Ghent", "Ghent"];
const events = Array.from({ length: 400 }, (_, i) => ({
  customer: `c${i % 23}`,
  amount: ((i * 7919) % 1_000) / 7 - 20,
  cents: String((i * 104_729) % 50_000),
  city: CITIES[(i * 31) % CITIES.length]!,
  at: HOUR + i * 40_000,
}));
/** Some customers have no order, and some rows no price. */
const frame = Array.from({ length: 120 }, (_, i) => ({
  customer: `c${i % 29}`,
  price: i % 11 === 0 ? null : ((i * 37) % 90) - 15,
  channel: ["app", "web", "shop"][i % 3]!,
  event_timestamp: HOUR + 100_000 + i * 120_000,
  late: i % 4 === 0,
  outcome: ["kept", "returned", "lost"][(i * 5) % 3]!,
  paid: i % 13 === 0 ? null : i / 3,
}));

describe("a service of every transform", () => {
  let store: FeatureStore;
  let set: TrainingSet;
  let folder: string;
  let close: () => Promise<void>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-transforms-"));
    const online = memoryOnlineStore();
    const offline = memoryOfflineStore();
    const pipeline = createPipeline({ ...declarations, online, offline });
    await pipeline.recover();
    pipeline.memory("orders").push(events);
    pipeline.memory("orders").end();
    await pipeline.start();
    await pipeline.finished();
    close = () => pipeline.close();
    store = createFeatureStore({ ...declarations, online, offline, now: () => 0 });
    set = await createTrainingSet(store, "transformed", { rows: frame });
  });
  afterAll(async () => {
    await close();
    await rm(folder, { recursive: true, force: true });
  });

  test("serves online the rows of history, with what the model's millrace.json holds", async () => {
    const { features } = set.manifest;
    // A tree reads no text.
    const inputs = features.filter((name) => name !== "city");
    await writeModel(join(folder, "1"), { answer: 1, features: inputs, millrace: set.manifest });
    const runtime = store.service("transformed");
    const source = folderModelSource({ path: folder, quietMs: 0 });
    const [version] = await source.list();
    const served = await loadServedModel(scored[Meta], runtime, source, version!);
    const fitted = served.fitted!;
    await served.loaded.runner.close();
    expect(fitted).toEqual(set.manifest);

    const time = Math.max(...events.map(({ at }) => at)) + 1;
    const rows = frame.map(({ customer, price, channel }) => ({ customer, price, channel }));
    const online = await store.getOnlineFeatures("transformed", { rows, asOf: time, exact: true, fitted });
    const history = await store.getHistoricalFeatures("transformed", {
      rows: rows.map((row) => ({ lookup: runtime.readLookup(row), time })),
      fitted,
    });
    expect(online.columns.map(({ name }) => name)).toEqual(features);
    expect(online.rows).toEqual(history.rows);
    expect(online.statuses).toEqual(history.statuses);
    // No column is the same in every row, so that none is compared for nothing.
    const varied = features.filter((_, column) => new Set(online.rows.map((row) => row[column])).size > 1);
    expect(features.filter((name) => !varied.includes(name))).toEqual([]);
  });

  test("makes the training set's rows as later ones, but for what is learned of labels", async () => {
    const again = await createTrainingSet(store, "transformed", { rows: frame, fitted: set.manifest });
    const different = set.columns
      .map(({ name }) => name)
      .filter((_, column) => set.rows.some((row, index) => row[column] !== again.rows[index]![column]));
    expect(different).toEqual(["risk", "spent", "ends_kept", "ends_returned", "ends_lost", "risk_scaled"]);
  });

  test("is fitted alike whatever the order of the rows, but for what is learned of encodings of labels", async () => {
    const turned = await createTrainingSet(store, "transformed", { rows: frame.toReversed() });
    const { "risk_scaled:0": _scaled, ...transforms } = turned.manifest.transforms;
    const { "risk_scaled:0": _also, ...expected } = set.manifest.transforms;
    expect(transforms).toEqual(expected);
  });

  test("needs the labels, of their types, and only to be fitted", async () => {
    const without = frame.map(({ late: _, ...row }) => row);
    await expect(createTrainingSet(store, "transformed", { rows: without })).rejects.toMatchObject({
      code: "LABEL_MISSING",
      message: expect.stringContaining("'late'"),
    });
    const wrong = frame.map((row, index) => (index === 7 ? { ...row, outcome: "stolen" } : row));
    await expect(createTrainingSet(store, "transformed", { rows: wrong })).rejects.toMatchObject({
      code: "LABEL_INVALID",
      message: expect.stringContaining("Row 7"),
    });
    const applied = await createTrainingSet(store, "transformed", { rows: without, fitted: set.manifest });
    expect(applied.rows).toHaveLength(frame.length);
    const as = (late: unknown): Promise<TrainingSet> =>
      createTrainingSet(store, "transformed", { rows: frame.map((row) => ({ ...row, late: row.late ? late : 0 })) });
    expect((await as(1)).manifest.transforms).toEqual(set.manifest.transforms);
    await expect(as(2)).rejects.toMatchObject({ code: "LABEL_INVALID" });
  });

  test("is not served without what it learned", async () => {
    const rows = [{ customer: "c1", price: 1, channel: "app" }];
    await expect(store.getOnlineFeatures("transformed", { rows })).rejects.toMatchObject({ code: "NOT_FITTED" });
  });
});
