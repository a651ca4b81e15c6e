import { describe, expect, test } from "vitest";
import { loadXgboostModel } from "../../../src/api/models/xgboost-model.ts";
import { codeOf, type LooseJson, readFixture, xgboostFixtures } from "./fixtures.ts";

const fixtures = xgboostFixtures();
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** A fixture's JSON document with a change. */
function edited(name: string, change: (document: LooseJson) => void): Uint8Array {
  const document = JSON.parse(decoder.decode(readFixture(...name.split("/"))));
  change(document);
  return encoder.encode(JSON.stringify(document));
}

describe("predictions equal XGBoost's own to the bit", () => {
  test("the fixtures cover three major versions and both file formats", () => {
    expect(fixtures).toHaveLength(20);
    expect(new Set(fixtures.map((fixture) => fixture.name.slice(-4)))).toEqual(new Set(["json", ".ubj"]));
  });

  test.each(fixtures)("$name, $objective", ({ bytes, features, rowCount, rows, margins, outputs }) => {
    for (const [output, expected] of [
      ["margin", margins],
      ["transformed", outputs],
    ] as const) {
      const model = loadXgboostModel(bytes, { output });
      expect(model.predictBatch(rows, rowCount, features)).toEqual(expected);
      const single = Array.from({ length: rowCount }, (_, i) =>
        model.predictRow(rows.subarray(i * features, (i + 1) * features)),
      );
      expect(Float32Array.from(single.flat())).toEqual(expected);
    }
  });

  test("a long batch equals its rows one by one", () => {
    const { bytes, features, rows } = fixtures.find((fixture) => fixture.objective === "multi:softprob")!;
    const count = 203;
    const matrix = Float32Array.from({ length: count * features }, (_, i) => rows[(i * 7) % rows.length]!);
    const model = loadXgboostModel(bytes);
    const single = Array.from({ length: count }, (_, i) =>
      model.predictRow(matrix.subarray(i * features, (i + 1) * features)),
    );
    expect(model.predictBatch(matrix, count, features)).toEqual(Float32Array.from(single.flat()));
  });

  test("values are rounded to float32 before they are compared", () => {
    const bytes = edited("xgboost-3/model-5.json", (document) => {
      const trees = document.learner.gradient_booster.gbtree.model.trees;
      for (const tree of trees)
        tree.split_conditions = tree.split_conditions.map((c: number, i: number) =>
          tree.left_children[i] === -1 ? c : 0.1,
        );
    });
    const model = loadXgboostModel(bytes);
    const at = (value: number) => model.predictRow(new Array(model.featureCount).fill(value));
    expect(at(0.1)).toEqual(at(Math.fround(0.1)));
    // The double just below 0.1's float32 rounds up to it, so it goes right like the threshold itself.
    expect(at(0.1000000014)).toEqual(at(0.1));
    expect(at(0.0999999)).not.toEqual(at(0.1));
  });
});

describe("base scores", () => {
  const withBase = (score: string, objective: string) =>
    edited("xgboost-3/model-5.json", (document) => {
      document.learner.learner_model_param.base_score = score;
      document.learner.objective = { name: objective };
      for (const tree of document.learner.gradient_booster.gbtree.model.trees) tree.split_conditions.fill(0);
    });
  const margin = (bytes: Uint8Array) => {
    const model = loadXgboostModel(bytes, { output: "margin" });
    return model.predictRow(new Array(model.featureCount).fill(0))[0];
  };

  test("are read from a number and from a list, and mapped by the objective's link", () => {
    expect(margin(withBase("5E-1", "binary:logistic"))).toBeCloseTo(0, 12);
    expect(margin(withBase("[2.5E-1]", "binary:logistic"))).toBe(Math.fround(-Math.log(3)));
    expect(margin(withBase("2.5E-1", "binary:logitraw"))).toBe(0.25);
    expect(margin(withBase("2E0", "count:poisson"))).toBe(Math.fround(Math.LN2));
    expect(margin(withBase("-1.5E2", "reg:squarederror"))).toBe(-150);
  });

  test("a probability of 1 is moved inward as XGBoost 3 does", () => {
    expect(margin(withBase("1E0", "reg:logistic"))).toBeCloseTo(13.8, 0);
  });

  test("that cannot be are refused", async () => {
    for (const [score, objective] of [
      ["2E0", "binary:logistic"],
      ["NaN", "reg:squarederror"],
      ["", "reg:squarederror"],
      ["[1,2,3]", "reg:squarederror"],
    ]) {
      expect(await codeOf(() => loadXgboostModel(withBase(score!, objective!)))).toBe("MODEL_CORRUPT");
    }
  });
});

describe("early stopping", () => {
  const stopped = edited("xgboost-3/model-5.json", (document) => {
    document.learner.attributes = { best_iteration: "0", best_score: "1" };
  });

  test("all trees are used by default and the best iteration's on request", () => {
    const treesPerIteration = 2;
    const all = loadXgboostModel(stopped);
    const best = loadXgboostModel(stopped, { iterations: "best" });
    expect(all.treeCount).toBeGreaterThan(treesPerIteration);
    expect(best.treeCount).toBe(treesPerIteration);
  });
});

describe("what is not evaluated is refused by name", () => {
  test("the linear booster, unknown objectives, vector leaves and the old binary format", async () => {
    const linear = edited("xgboost-3/model-5.json", (document) => {
      document.learner.gradient_booster = { name: "gblinear", model: {} };
    });
    const custom = edited("xgboost-3/model-5.json", (document) => {
      document.learner.objective.name = "my_objective";
    });
    const vector = edited("xgboost-3/model-5.json", (document) => {
      document.learner.gradient_booster.gbtree.model.trees[0].tree_param.size_leaf_vector = "3";
    });
    for (const bytes of [linear, custom, vector, encoder.encode("binf\0\0\0\0")]) {
      expect(await codeOf(() => loadXgboostModel(bytes))).toBe("MODEL_UNSUPPORTED");
    }
  });

  test("a row of another width", async () => {
    const model = loadXgboostModel(readFixture("xgboost-3", "model-5.json"));
    expect(await codeOf(() => model.predictRow([1]))).toBe("SIGNATURE_MISMATCH");
    expect(await codeOf(() => model.predictBatch(new Float32Array(3), 3, 1))).toBe("SIGNATURE_MISMATCH");
    expect(await codeOf(() => model.predictBatch(new Float32Array(3), 9, model.featureCount))).toBe(
      "SIGNATURE_MISMATCH",
    );
  });
});

test("bare NaN and Infinity in JSON are read", () => {
  const text = decoder.decode(
    edited("xgboost-3/model-5.json", (document) => {
      document.learner.feature_names = document.learner.feature_names?.map((_: string, i: number) => `"NaN\\${i}`);
      document.learner.gradient_booster.gbtree.model.trees[0].loss_changes[0] = "@";
      document.learner.gradient_booster.gbtree.model.trees[0].split_conditions[0] = "#";
    }),
  );
  const bytes = encoder.encode(text.replace('"@"', "NaN").replace('"#"', "-Infinity"));
  const original = loadXgboostModel(readFixture("xgboost-3", "model-5.json"));
  expect(loadXgboostModel(bytes).featureCount).toBe(original.featureCount);
});
