import { describe, expect, test } from "vitest";
import { loadXgboostModel } from "../../../src/api/models/xgboost-model.ts";
import { xgboostRunner } from "../../../src/api/models/xgboost-runner.ts";
import { codeOf, type LooseJson, readFixture, xgboostFixtures } from "./fixtures.ts";

const booster = readFixture("mlflow", "xgb-booster", "model.ubj");
const categories = readFixture("category-names.json");

describe("xgboostRunner", () => {
  test("reorders named columns to the model's features and ignores others", async () => {
    const runner = xgboostRunner(booster);
    expect(runner.inputs?.map((input) => input.name)).toEqual(["amount", "n_trips", "is_new"]);
    const model = loadXgboostModel(booster);
    const expected = model.predictRow([1.25, 3, 1])[0];
    const prepared = runner.prepare(["is_new", "other", "amount", "n_trips"]);
    expect(prepared.predictRow!([true, "x", 1.25, 3])).toBe(expected);
    expect(prepared.predictRow!([true, "x", 1.25, 3n])).toBe(expected);
    expect(await runner.predict({ columns: ["n_trips", "is_new", "amount"], rows: [[3, 1, 1.25]] })).toEqual([
      expected,
    ]);
  });

  test("null is a missing value", () => {
    const prepared = xgboostRunner(booster).prepare(["amount", "n_trips", "is_new"]);
    expect(prepared.predictRow!([null, null, null])).toBe(
      loadXgboostModel(booster).predictRow([Number.NaN, Number.NaN, Number.NaN])[0],
    );
  });

  test("rows alone and in a batch get the same answers", async () => {
    for (const { bytes, features, rowCount, rows } of xgboostFixtures()) {
      const prepared = xgboostRunner(bytes).prepare(
        loadXgboostModel(bytes).featureNames ?? Array.from({ length: features }, (_, i) => String(i)),
      );
      const table = Array.from({ length: rowCount }, (_, i) =>
        Array.from(rows.subarray(i * features, (i + 1) * features), (value) => (Number.isNaN(value) ? null : value)),
      );
      expect(await prepared.predict(table)).toEqual(table.map((row) => prepared.predictRow!(row)));
    }
  });

  test("a matrix of numbers gets the answers of its rows, in any order of columns and from doubles", async () => {
    for (const { bytes, features, rowCount, rows } of xgboostFixtures()) {
      const names = loadXgboostModel(bytes).featureNames ?? Array.from({ length: features }, (_, i) => String(i));
      const runner = xgboostRunner(bytes);
      const { predict, predictMatrix } = runner.prepare(names);
      if (predictMatrix === undefined) continue;
      const table = Array.from({ length: rowCount }, (_, i) => [...rows.subarray(i * features, (i + 1) * features)]);
      const expected = (await predict(table)).flat();
      expect([...predictMatrix(rows, rowCount).values]).toEqual(expected);
      expect([...predictMatrix(Float64Array.from(rows), rowCount).values]).toEqual(expected);
      if (runner.inputs === null) continue;
      const turned = runner.prepare([...names, "other"].reverse());
      const matrix = Float32Array.from(table.flatMap((row) => [...row, 7].reverse()));
      expect([...turned.predictMatrix!(matrix, rowCount).values]).toEqual(expected);
    }
  });

  test("a model with categories by name takes no matrix", () => {
    const runner = xgboostRunner(categories);
    expect(runner.prepare(runner.inputs!.map(({ name }) => name)).predictMatrix).toBeUndefined();
  });

  test("names the columns that are missing", async () => {
    const runner = xgboostRunner(booster);
    expect(await codeOf(() => runner.prepare(["amount"]))).toBe("SIGNATURE_MISMATCH");
    expect(() => runner.prepare(["amount"])).toThrow(/n_trips, is_new/);
  });

  test("a column that the signature calls optional may be left out", () => {
    const inputs = ["amount", "n_trips", "is_new"].map((name) => ({
      name,
      type: "double",
      required: name !== "is_new",
    }));
    const prepared = xgboostRunner(booster, { inputs }).prepare(["n_trips", "amount"]);
    expect(prepared.predictRow!([3, 1.25])).toBe(loadXgboostModel(booster).predictRow([1.25, 3, Number.NaN])[0]);
  });

  test("a text where a number belongs is refused", async () => {
    const prepared = xgboostRunner(booster).prepare(["amount", "n_trips", "is_new"]);
    expect(await codeOf(() => prepared.predictRow!(["1", 2, true]))).toBe("MODEL_INPUT_INVALID");
    expect(await codeOf(() => prepared.predict(new Array(5).fill([1, [2], true])))).toBe("MODEL_INPUT_INVALID");
  });

  test("answers with labels like XGBClassifier.predict", async () => {
    const labels = xgboostRunner(booster, { output: "label" }).prepare(["amount", "n_trips", "is_new"]);
    const scores = xgboostRunner(booster).prepare(["amount", "n_trips", "is_new"]);
    for (const amount of [-3, -1, 0, 1, 3]) {
      expect(labels.predictRow!([amount, 1, false])).toBe(
        (scores.predictRow!([amount, 1, false]) as number) > 0.5 ? 1 : 0,
      );
    }
    const multi = xgboostFixtures().find((fixture) => fixture.name === "xgboost-3/model-2.ubj")!;
    const width =
      loadXgboostModel(multi.bytes).featureNames ?? Array.from({ length: multi.features }, (_, i) => String(i));
    const row = new Array(multi.features).fill(0.5);
    const probabilities = xgboostRunner(multi.bytes).prepare(width).predictRow!(row) as number[];
    expect(xgboostRunner(multi.bytes, { output: "label" }).prepare(width).predictRow!(row)).toBe(
      probabilities.indexOf(Math.max(...probabilities)),
    );
  });

  test("looks categories up by what the model file records, as XGBoost does with a data frame", async () => {
    const runner = xgboostRunner(categories);
    const rows = [
      ["zoe", 30, 0.1],
      ["a", 10, -0.2],
      [null, 20n, 0.5],
      ["b", null, -0.03],
    ];
    // Predictions of XGBoost 3.2 for a pandas data frame with the same categories in another order.
    const expected = [0.64103293, 0.33940533, 0.7203426, 0.64103293].map(Math.fround);
    expect(await runner.predict({ columns: ["c", "k", "x"], rows })).toEqual(expected);
    const prepared = runner.prepare(["c", "k", "x"]);
    expect(prepared.predictRow!(["never seen", 30, 0.1])).toBe(prepared.predictRow!([null, 30, 0.1]));
  });

  test("does not trust category names that are not ASCII, which XGBoost 3.2 cuts wrongly", async () => {
    const document: LooseJson = JSON.parse(new TextDecoder().decode(categories));
    document.learner.gradient_booster.model.cats.enc[0].values[2] = -61;
    const prepared = xgboostRunner(new TextEncoder().encode(JSON.stringify(document))).prepare(["c", "k", "x"]);
    expect(await codeOf(() => prepared.predictRow!(["a", 30, 0.1]))).toBe("MODEL_INPUT_INVALID");
    expect(prepared.predictRow!([0, 30, 0.1])).toBe(
      xgboostRunner(categories).prepare(["c", "k", "x"]).predictRow!(["a", 30, 0.1]),
    );
  });

  test("is of no use after it is closed", async () => {
    const runner = xgboostRunner(booster);
    const prepared = runner.prepare(["amount", "n_trips", "is_new"]);
    await runner.close();
    await runner.close();
    expect(await codeOf(() => prepared.predictRow!([1, 2, true]))).toBe("MODEL_CLOSED");
    expect(await codeOf(() => prepared.predict([[1, 2, true]]))).toBe("MODEL_CLOSED");
  });
});
