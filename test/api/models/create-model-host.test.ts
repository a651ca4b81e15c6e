import { channel } from "node:diagnostics_channel";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as flights from "../../../examples/flight_delays/features.ts";
import { MODEL_LOAD_CHANNEL, MODEL_SWAP_CHANNEL, PREDICTION_CHANNEL } from "../../../src/api/channels.ts";
import { createModelHost, type ModelHostOptions } from "../../../src/api/models/create-model-host.ts";
import { folderSourceOf } from "../../../src/api/models/folder-model-source.ts";
import type { ModelHost } from "../../../src/api/models/model-host.ts";
import { featureService, type Model, model, modelFolder, requestSource, t } from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import type { ModelMeta } from "../../../src/definitions/model.ts";
import { collectDeclarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { createFeatureStore, type FeatureStore } from "../../../src/feature_store/feature-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import { accountActivity, cardActivity, fitted, NOW, RISK_COLUMNS, risk, typed } from "../payments.ts";
import { FIXTURES } from "./fixtures.ts";
import { writeModel } from "./write-model.ts";

/** The columns of the fixtures' models. */
const request = requestSource({ amount: t.float64(), n_trips: t.int32(), is_new: t.bool() });
const trips = featureService("trips_v1", {
  features: { amount: request.amount, n_trips: request.n_trips, is_new: request.is_new },
});
const worded = featureService("words_v1", { features: { amount: requestSource({ word: t.string() }).word } });
const listed = featureService("lists_v2", {
  features: { amount: requestSource({ sizes: t.list(t.float64()) }).sizes },
});
const ROW = { card_id: "c", amount: 2 };
let root: string;
let store: FeatureStore;
let host: ModelHost | null;
let closing: (() => void)[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "millrace-host-"));
  host = null;
  closing = [];
  store = createFeatureStore({
    views: [cardActivity[Meta], accountActivity[Meta]],
    services: [risk, fitted, typed, trips, worded, listed].map((service) => service[Meta]),
    online: memoryOnlineStore(),
    offline: null,
    now: () => NOW,
  });
});
afterEach(async () => {
  await host?.close();
  for (const close of closing) close();
  await rm(root, { recursive: true, force: true });
});

/** A model in a folder of its name under `root`. */
function declared(name = "risk", more: object = {}): ModelMeta {
  const options = {
    inputs: risk,
    output: { probability: t.float64() },
    source: modelFolder(join(root, name)),
    ...more,
  };
  return (model(name, options) as Model<object, object>)[Meta];
}

function open(models: readonly ModelMeta[], options: Partial<ModelHostOptions> = {}): ModelHost {
  host = createModelHost({
    models,
    features: store,
    pollSeconds: 3_600,
    cacheBytes: 2 ** 30,
    log: { info: () => {}, warn: () => {} },
    now: () => NOW,
    sourceOf: (meta) => folderSourceOf(meta, { quietMs: 0 }),
    ...options,
  });
  return host;
}

const save = (version: string, answer: number | readonly number[], name = "risk", more: object = {}): Promise<void> =>
  writeModel(join(root, name, version), { answer, features: RISK_COLUMNS, ...more });

function heard<T>(name: string): T[] {
  const events: T[] = [];
  const listen = (event: unknown): void => void events.push(event as T);
  channel(name).subscribe(listen);
  closing.push(() => channel(name).unsubscribe(listen));
  return events;
}

const answerOf = async (models: ModelHost, name = "risk"): Promise<[string | null, unknown]> => {
  const { version, predictions } = await models.predict(name, { rows: [ROW] });
  return [version, predictions[0]?.probability];
};

describe("a model host at its start", () => {
  it("serves the newest version of every model", async () => {
    await save("1", 1);
    await save("2", 2);
    const loads = heard(MODEL_LOAD_CHANNEL);
    const models = open([declared()]);
    await models.start();
    expect(await answerOf(models)).toEqual(["2", 2]);
    expect(loads).toMatchObject([{ model: "risk", version: "2", outcome: "ok", sizeBytes: expect.any(Number) }]);
  });

  it("serves the example's model with the example's declarations", async () => {
    const declarations = collectDeclarations(flights);
    const features = createFeatureStore({
      ...declarations,
      online: memoryOnlineStore(),
      offline: null,
      now: () => NOW,
    });
    const models = open(declarations.models, { features });
    await models.start();
    expect(models.get("flight_delay").lastFailure).toBeNull();
    const lookup = {
      prediction_time: "2013-03-01T12:00:00Z",
      carrier: "UA",
      origin: "EWR",
      dest: "IAH",
      route: "EWR-IAH",
      tail_number: null,
      local_hour: 7,
      local_minute_of_day: 450,
      day_of_week: 4,
      distance_miles: 1_400,
      scheduled_duration_minutes: 227,
    };
    const { version, predictions, features: read } = await models.predict("flight_delay", { rows: [lookup] });
    expect(version).toBe("1");
    expect(predictions[0]?.probability).toBeGreaterThan(0);
    expect(predictions[0]?.probability).toBeLessThan(1);
    // "UA" is the tenth of the carriers that training knew.
    expect(read?.rows[0]?.[5]).toBe(10);
  });

  it("starts without a model that has no version, and serves the others", async () => {
    await save("1", 1, "other");
    const models = open([declared(), declared("other")]);
    await models.start();
    expect(await answerOf(models, "other")).toEqual(["1", 1]);
    await expect(models.predict("risk", { rows: [ROW] })).rejects.toMatchObject({
      code: "MODEL_NOT_READY",
      kind: "operational",
      details: { reason: "MODEL_NOT_FOUND" },
    });
    await save("1", 5);
    await models.refresh("risk");
    expect(await answerOf(models)).toEqual(["1", 5]);
  });

  it("serves an older version if the newest is bad", async () => {
    await save("1", 1);
    await save("2", 2, "risk", { bytes: '{"learner":{' });
    const models = open([declared()]);
    await models.start();
    expect(await answerOf(models)).toEqual(["1", 1]);
    expect(models.get("risk").lastFailure).toMatchObject({ version: "2", code: "MODEL_CORRUPT", at: NOW });
  });

  it("knows no model that is not declared", async () => {
    await expect(open([declared()]).predict("nope", { rows: [ROW] })).rejects.toMatchObject({ code: "MODEL_UNKNOWN" });
  });
});

describe("a version that does not fit", () => {
  const failure = async (meta: ModelMeta): Promise<unknown> => {
    const loads = heard<{ outcome: string }>(MODEL_LOAD_CHANNEL);
    const models = open([meta]);
    await models.start();
    expect(models.get(meta.name).serving).toBeNull();
    expect(loads[0]?.outcome).toBe(models.get(meta.name).lastFailure?.code);
    return models.get(meta.name).lastFailure;
  };

  it("is refused if it needs a column that the service does not have", async () => {
    await save("1", 1, "risk", { features: ["n", "spend", "age"] });
    expect(await failure(declared())).toMatchObject({
      code: "MODEL_SERVICE_MISMATCH",
      message: expect.stringMatching(/risk_v1.*age/),
    });
  });

  it("is refused if a column of the service has a type that it cannot take", async () => {
    await save("1", 1, "risk", { features: ["amount"] });
    expect(await failure(declared("risk", { inputs: worded }))).toMatchObject({
      code: "MODEL_SERVICE_MISMATCH",
      message: expect.stringMatching(/words_v1.*amount.*a number/),
    });
  });

  it("is refused if a column of the service is a list, which a model reads by its places only", async () => {
    await save("1", 1, "risk", { features: ["amount"] });
    expect(await failure(declared("risk", { inputs: listed }))).toMatchObject({
      code: "MODEL_SERVICE_MISMATCH",
      message: expect.stringMatching(/lists_v2.*amount.*a number.*a list/),
    });
  });

  it("is refused if it answers more or fewer values than the declared output has columns", async () => {
    await save("1", [0.25, 0.75]);
    expect(await failure(declared())).toMatchObject({
      code: "MODEL_OUTPUT_MISMATCH",
      message: expect.stringContaining("2 values per row"),
    });
  });

  it.each([
    ["without a millrace.json", undefined, "MODEL_SERVICE_MISMATCH"],
    ["of another service", { service: "other", service_hash: "x", transforms: {} }, "FITTED_STATE_MISMATCH"],
    [
      "of another version of the service",
      { service: "fitted_v1", service_hash: "x", transforms: {} },
      "FITTED_STATE_MISMATCH",
    ],
    ["that lacks a transform", { service: "fitted_v1", transforms: {} }, "FITTED_STATE_MISMATCH"],
  ])("is refused %s, if the service has fitted transforms", async (_what, millrace, code) => {
    const { hash } = store.service("fitted_v1");
    const given = millrace === undefined ? {} : { millrace: { service_hash: hash, ...millrace } };
    await save("1", 1, "scaled", { features: ["n", "amount"], ...given });
    expect(await failure(declared("scaled", { inputs: fitted }))).toMatchObject({ code });
  });

  it("is refused with a millrace.json of another service, also if nothing is fitted", async () => {
    await save("1", 1, "risk", { millrace: { service: "other", service_hash: "x", transforms: {} } });
    expect(await failure(declared())).toMatchObject({ code: "FITTED_STATE_MISMATCH" });
  });
});

describe("the answers of a model", () => {
  it("come by declared output column, of the declared types", async () => {
    await save("1", [2, 1, 0.5]);
    const output = { n: t.int64(), is_late: t.bool(), level: t.float64() };
    const models = open([declared("risk", { output })]);
    await models.start();
    const { predictions } = await models.predict("risk", { rows: [ROW] });
    expect(predictions).toEqual([{ n: 2n, is_late: true, level: 0.5 }]);
  });

  it("may be the index of a class", async () => {
    await save("1", 1);
    const models = open([declared("risk", { output: { level: t.oneOf("low", "high") } })]);
    await models.start();
    expect((await models.predict("risk", { rows: [ROW] })).predictions).toEqual([{ level: "high" }]);
  });

  it("are computed with what the serving version's transforms learned, also while versions alternate", async () => {
    const { hash } = store.service("fitted_v1");
    for (const [version, mean] of [
      ["1", 1],
      ["2", 2],
    ] as const) {
      const transforms = { "amount:0": { kind: "standardize", mean, stddev: 1 } };
      const millrace = { service: "fitted_v1", service_hash: hash, transforms };
      await save(version, mean, "scaled", { features: ["n", "amount"], millrace });
    }
    const models = open([declared("scaled", { inputs: fitted })]);
    await models.start();
    for (const version of ["1", "2", "1", "2"]) {
      await models.pin("scaled", version);
      const { features } = await models.predict("scaled", { rows: [{ card_id: "c", amount: 10 }] });
      expect(features?.rows[0]?.[1]).toBe(10 - Number(version));
    }
  });
});

describe("a new version", () => {
  it("replaces the old one under load, with no failed request and no answer of a wrong version", async () => {
    await save("1", 1);
    const swaps = heard<{ version: string; previous: string | null }>(MODEL_SWAP_CHANNEL);
    const models = open([declared()], { largeBatch: { onnx: 32, others: 4 } });
    await models.start();
    let isDone = false;
    let answered = 0;
    const seen = new Set<string>();
    const client = async (rows: number): Promise<void> => {
      while (!isDone) {
        const { version, predictions } = await models.predict("risk", { rows: new Array(rows).fill(ROW) });
        for (const { probability } of predictions) expect(String(probability)).toBe(version);
        seen.add(String(version));
        answered++;
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const clients = [1, 1, 1, 3, 6].map(client);
    for (let version = 2; version <= 12; version++) {
      await save(String(version), version);
      await models.refresh();
      const before = answered;
      while (answered < before + 20) await new Promise((resolve) => setImmediate(resolve));
    }
    isDone = true;
    await Promise.all(clients);
    expect([...seen].sort((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 12 }, (_, i) => String(i + 1)),
    );
    expect(swaps.at(-1)).toEqual({ model: "risk", version: "12", previous: "11" });
  });

  it("leaves requests that began with the old one to it, however many versions come meanwhile", async () => {
    await save("1", 1);
    const go = Promise.withResolvers<void>();
    const slow: FeatureStore = {
      ...store,
      async getOnlineFeatures(name, asked) {
        const read = await store.getOnlineFeatures(name, asked);
        await go.promise;
        return read;
      },
    };
    const models = open([declared()], { features: slow, cacheBytes: 1 });
    await models.start();
    const began = models.predict("risk", { rows: [ROW] });
    for (const version of [2, 3, 4]) {
      await save(String(version), version);
      await models.refresh();
    }
    expect(models.get("risk").serving?.version.version).toBe("4");
    go.resolve();
    expect(await began).toMatchObject({ version: "1", predictions: [{ probability: 1 }] });
  });

  it("is not served under its name if its files changed while they were read", async () => {
    await save("1", 1);
    let isFirst = true;
    const models = open([declared()], {
      sourceOf: (meta) => {
        const inner = folderSourceOf(meta, { quietMs: 0 });
        return {
          ...inner,
          async fetch(version) {
            const folder = await inner.fetch(version);
            if (isFirst) await save("1", 9);
            isFirst = false;
            return folder;
          },
        };
      },
    });
    await models.start();
    expect(models.get("risk").serving).toBeNull();
    expect(models.get("risk").lastFailure?.code).toBe("MODEL_VERSION_CHANGED");
    await models.refresh();
    expect(await answerOf(models)).toEqual(["1", 9]);
  });

  it("that is bad never replaces a good one, and is tried again only when its content changes", async () => {
    await save("1", 1);
    const loads = heard<{ version: string; outcome: string }>(MODEL_LOAD_CHANNEL);
    const models = open([declared()]);
    await models.start();
    await save("2", 2, "risk", { features: ["unknown_column"] });
    for (let i = 0; i < 3; i++) await models.refresh();
    expect(await answerOf(models)).toEqual(["1", 1]);
    expect(loads.map(({ version, outcome }) => `${version} ${outcome}`)).toEqual(["1 ok", "2 MODEL_SERVICE_MISMATCH"]);
    await save("2", 2, "risk", { bytes: "{" });
    await models.refresh();
    expect(loads.at(-1)).toMatchObject({ version: "2", outcome: "MODEL_CORRUPT" });
    await save("2", 2);
    await models.refresh();
    expect(await answerOf(models)).toEqual(["2", 2]);
  });

  it("may have the name of the old one", async () => {
    await save("1", 1);
    const models = open([declared()]);
    await models.start();
    await save("1", 7);
    await models.refresh();
    expect(await answerOf(models)).toEqual(["1", 7]);
  });

  it("does not come by taking the serving one away: an older one is not newer than it", async () => {
    await save("1", 1);
    await save("2", 2);
    const models = open([declared()]);
    await models.start();
    await rm(join(root, "risk", "2"), { recursive: true });
    await models.refresh();
    expect(await answerOf(models)).toEqual(["2", 2]);
    await rm(join(root, "risk"), { recursive: true });
    await models.refresh();
    expect(await answerOf(models)).toEqual(["2", 2]);
    await save("3", 3);
    await models.refresh();
    expect(await answerOf(models)).toEqual(["3", 3]);
  });
});

describe("going back", () => {
  it("serves the previous version at once and does not take the one it left again, but a newer one", async () => {
    await save("1", 1);
    const models = open([declared()]);
    await models.start();
    await expect(models.rollback("risk")).rejects.toMatchObject({ code: "MODEL_NO_PREVIOUS" });
    await save("2", 2);
    await models.refresh();
    await models.rollback("risk");
    expect(await answerOf(models)).toEqual(["1", 1]);
    await models.refresh();
    expect(await answerOf(models)).toEqual(["1", 1]);
    await save("3", 3);
    await models.refresh();
    expect(await answerOf(models)).toEqual(["3", 3]);
  });

  it("works when the previous version's folder is gone", async () => {
    await save("1", 1);
    const models = open([declared()]);
    await models.start();
    await save("2", 2);
    await models.refresh();
    await rm(join(root, "risk", "1"), { recursive: true });
    await models.rollback("risk");
    expect(await answerOf(models)).toEqual(["1", 1]);
  });

  it("to a pinned version holds until it is unpinned", async () => {
    for (const version of [1, 2, 3]) await save(String(version), version);
    const models = open([declared()]);
    await models.start();
    await models.pin("risk", "1");
    await save("4", 4);
    await models.refresh();
    expect(await answerOf(models)).toEqual(["1", 1]);
    expect(models.get("risk").pinned).toBe("1");
    await expect(models.pin("risk", "9")).rejects.toMatchObject({ code: "MODEL_VERSION_UNKNOWN" });
    await models.pin("risk", null);
    expect(await answerOf(models)).toEqual(["4", 4]);
  });
});

describe("the memory of models", () => {
  it("is bounded: what was used least recently is freed, and loaded again when it is asked for", async () => {
    const names = ["a", "b", "c"];
    for (const name of names) await save("1", 1, name);
    const models = open(
      names.map((name) => declared(name)),
      { cacheBytes: 1 },
    );
    await models.start();
    const resident = (): string[] => names.filter((name) => models.get(name).serving?.resident != null);
    expect(resident()).toHaveLength(1);
    for (const name of ["a", "b", "c", "a"]) {
      // Two at once load it once.
      const loads = heard(MODEL_LOAD_CHANNEL);
      const isHeld = resident().includes(name);
      const both = await Promise.all([answerOf(models, name), answerOf(models, name)]);
      expect(both).toEqual([
        ["1", 1],
        ["1", 1],
      ]);
      expect(loads).toHaveLength(isHeld ? 0 : 1);
      expect(resident()).toEqual([name]);
    }
  });

  it("frees versions kept for a rollback before those that serve", async () => {
    await save("1", 1);
    await save("1", 1, "other");
    const size = 2 * 1_700;
    const models = open([declared(), declared("other")], { cacheBytes: size });
    await models.start();
    await save("2", 2);
    await models.refresh();
    const { serving, previous } = models.get("risk");
    expect([serving?.version.version, previous?.version.version]).toEqual(["2", "1"]);
    const held = [serving, previous, models.get("other").serving].map((slot) => slot?.sizeBytes);
    expect(
      held.every((bytes) => bytes !== undefined && 3 * bytes > size && 2 * bytes <= size),
      String(held),
    ).toBe(true);
    expect(previous?.resident).toBeNull();
    expect(models.get("other").serving?.resident).not.toBeNull();
    await models.rollback("risk");
    expect(await answerOf(models)).toEqual(["1", 1]);
  });
});

describe("a model's timeout", () => {
  const past = (): number => performance.now() - 60_000;

  it("counts from the request's arrival and gives DEADLINE_EXCEEDED", async () => {
    await save("1", 1);
    const models = open([declared("risk", { timeout: "30s" })]);
    await models.start();
    expect(await answerOf(models)).toEqual(["1", 1]);
    const late = models.predict("risk", { rows: [ROW] }, past());
    await expect(late).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED", details: { timeout_ms: 30_000 } });
  });

  it("gives the declared fallback for every row, flagged, also while the read hangs", async () => {
    await save("1", 1);
    const outcomes = heard<{ outcome: string; version: string | null }>(PREDICTION_CHANNEL);
    const hanging: FeatureStore = { ...store, getOnlineFeatures: () => new Promise(() => {}) };
    const models = open([declared("risk", { timeout: "5ms", fallback: { probability: 0.5 } })], { features: hanging });
    await models.start();
    const { version, fallback, predictions, asOf } = await models.predict("risk", { rows: [ROW, ROW] });
    expect({ version, fallback, asOf }).toEqual({ version: null, fallback: true, asOf: null });
    expect(predictions).toEqual([{ probability: 0.5 }, { probability: 0.5 }]);
    expect(outcomes).toMatchObject([{ outcome: "DEADLINE_EXCEEDED", version: null }]);
  });

  it("does not hide other errors behind the fallback", async () => {
    await save("1", 1);
    const models = open([declared("risk", { timeout: "30s", fallback: { probability: 0.5 } })]);
    await models.start();
    await expect(models.predict("risk", { rows: [{}] })).rejects.toMatchObject({ code: "LOOKUP_COLUMN_MISSING" });
  });
});

describe("a large batch", () => {
  const rows = Array.from({ length: 3_000 }, (_, i) => ({
    amount: (i % 97) / 16 - 3,
    n_trips: i % 11,
    is_new: i % 3 === 0,
  }));
  const tripModel = (name: string): ModelMeta => declared(name, { inputs: trips });
  const workers: unknown[] = [];
  const onWorker = (worker: unknown): void => void workers.push(worker);
  beforeEach(() => {
    workers.length = 0;
    process.on("worker", onWorker);
    closing.push(() => process.off("worker", onWorker));
  });

  it.each(["xgb-booster", "xgb-classifier", "onnx"])(
    "of %s is predicted on another thread, as on this one",
    async (fixture) => {
      await cp(join(FIXTURES, "mlflow", fixture), join(root, "trips", "1"), { recursive: true });
      const outputs = {
        "xgb-booster": { probability: t.float64() },
        "xgb-classifier": { is_late: t.bool() },
        onnx: { on_time: t.float64(), late: t.float64() },
      };
      const output = outputs[fixture as keyof typeof outputs];
      const meta = declared("trips", { inputs: trips, output });
      const here = open([meta], { largeBatch: { onnx: 1e9, others: 1e9 } });
      await here.start();
      const expected = await here.predict("trips", { rows });
      expect(workers).toHaveLength(0);
      await here.close();
      const away = open([meta], { largeBatch: { onnx: 2, others: 100 } });
      await away.start();
      expect((await away.predict("trips", { rows })).predictions).toEqual(expected.predictions);
      expect(workers).toHaveLength(1);
      expect(new Set(expected.predictions.map((row) => JSON.stringify(row))).size).toBeGreaterThan(1);
      const single = await away.predict("trips", { rows: rows.slice(5, 6) });
      expect(single.predictions).toEqual(expected.predictions.slice(5, 6));
    },
  );

  it("reads all its rows at one moment, and leaves other requests their turn", async () => {
    let clock = NOW;
    const inner = createFeatureStore({
      views: [],
      services: [trips[Meta]],
      online: memoryOnlineStore(),
      offline: null,
      now: () => clock++,
    });
    const moments: number[] = [];
    const turns: number[] = [];
    let turn = 0;
    const recording: FeatureStore = {
      ...inner,
      async getOnlineFeatures(name, asked) {
        const read = await inner.getOnlineFeatures(name, asked);
        moments.push(read.asOf);
        turns.push(turn);
        setImmediate(() => turn++);
        return read;
      },
    };
    await cp(join(FIXTURES, "mlflow", "xgb-booster"), join(root, "trips", "1"), { recursive: true });
    const models = open([tripModel("trips")], { features: recording, largeBatch: { onnx: 1e9, others: 1e9 } });
    await models.start();
    const { asOf, features, predictions, headOverlap } = await models.predict("trips", { rows });
    expect(new Set(moments)).toEqual(new Set([asOf]));
    expect(turns.length).toBeGreaterThan(10);
    expect(new Set(turns).size).toBe(turns.length);
    const lengths = [features?.rows, features?.statuses, predictions, headOverlap].map((list) => list?.length);
    expect(lengths).toEqual([3_000, 3_000, 3_000, 3_000]);
  });

  it("is answered by the version in memory when the folder no longer has its content", async () => {
    await writeModel(join(root, "trips", "1"), { answer: 1, features: ["amount"] });
    const models = open([tripModel("trips")], { largeBatch: { onnx: 2, others: 2 } });
    await models.start();
    await writeModel(join(root, "trips", "1"), { answer: 2, features: ["amount"] });
    const { version, predictions } = await models.predict("trips", { rows: rows.slice(0, 10) });
    expect([version, predictions[9]]).toEqual(["1", { probability: 1 }]);
    expect(workers).toHaveLength(1);
  });

  it("fails as a small one does", async () => {
    await writeModel(join(root, "trips", "1"), { answer: 1, features: ["amount"] });
    const models = open([tripModel("trips")], { largeBatch: { onnx: 2, others: 2 } });
    await models.start();
    const bad = [...rows.slice(0, 600), { amount: 1 }];
    await expect(models.predict("trips", { rows: bad })).rejects.toMatchObject({ code: "LOOKUP_COLUMN_MISSING" });
  });
});
