import { describe, expect, test } from "vitest";
import { loadXgboostModel } from "../../../src/api/models/xgboost-model.ts";
import { describeDamage, survivalOf } from "./damaged-models.ts";
import { codeOf, type LooseJson, xgboostFixtures } from "./fixtures.ts";

const fixtures = xgboostFixtures();

describe("a damaged file is refused and never crashes or hangs", () => {
  const survives = survivalOf(loadXgboostModel, (length) => new Float32Array(length));
  describeDamage(fixtures, survives, { starts: ["", "{", "{L", '{"'], needed: (bytes) => bytes.length });
});

describe("trees that would mislead a walk", () => {
  const json = fixtures.find((fixture) => fixture.name === "xgboost-3/model-0.json")!;
  const load = (change: (tree: LooseJson, model: LooseJson) => void): Promise<unknown> => {
    const document = JSON.parse(new TextDecoder().decode(json.bytes));
    const model = document.learner.gradient_booster.model;
    change(model.trees[0], model);
    return codeOf(() => loadXgboostModel(new TextEncoder().encode(JSON.stringify(document))));
  };

  test.each<[string, (tree: LooseJson, model: LooseJson) => void]>([
    [
      "a cycle",
      (tree) => {
        tree.left_children[0] = 0;
      },
    ],
    [
      "a child with two parents",
      (tree) => {
        tree.right_children[0] = tree.left_children[0];
      },
    ],
    [
      "a child that does not exist",
      (tree) => {
        tree.right_children[0] = 10_000;
      },
    ],
    [
      "a feature that does not exist",
      (tree) => {
        tree.split_indices[0] = 10_000;
      },
    ],
    [
      "arrays of different lengths",
      (tree) => {
        tree.split_conditions.pop();
      },
    ],
    [
      "a tree for an output that does not exist",
      (_, model) => {
        model.tree_info[0] = 1;
      },
    ],
    [
      "two trees of one id",
      (_, model) => {
        model.trees[1].id = 0;
      },
    ],
    [
      "a category out of range",
      (tree) => {
        tree.split_type[0] = 1;
        tree.categories_nodes = [0];
        tree.categories_segments = [0];
        tree.categories_sizes = [1];
        tree.categories = [2 ** 30];
      },
    ],
    [
      "a category segment beyond its array",
      (tree) => {
        tree.split_type[0] = 1;
        tree.categories_nodes = [0];
        tree.categories_segments = [0];
        tree.categories_sizes = [9];
        tree.categories = [1];
      },
    ],
    [
      "iterations that end beyond the trees",
      (_, model) => {
        model.iteration_indptr = [0, 99];
      },
    ],
  ])("%s", async (_, change) => {
    expect(await load(change)).toBe("MODEL_CORRUPT");
  });

  test("the unchanged document loads", async () => {
    expect(await load(() => {})).toBe("no error");
  });
});
