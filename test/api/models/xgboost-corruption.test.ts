import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadXgboostModel } from "../../../src/api/models/xgboost-model.ts";
import { isMillraceError } from "../../../src/definitions/errors.ts";
import { codeOf, type LooseJson, xgboostFixtures } from "./fixtures.ts";

const fixtures = xgboostFixtures();
const anyFixture = fc.constantFrom(...fixtures);
const REFUSALS = ["MODEL_CORRUPT", "MODEL_UNSUPPORTED", "MODEL_TOO_LARGE"];

/** Loads and predicts; true if it worked, false if it was refused with a code of its own. */
function survives(bytes: Uint8Array): boolean {
  try {
    const model = loadXgboostModel(bytes);
    if (model.featureCount > 100_000) return true;
    const answer = model.predictRow(new Array(model.featureCount).fill(0.5));
    expect(answer).toHaveLength(model.outputWidth);
    const rows = new Float32Array(5 * model.featureCount).fill(Number.NaN);
    expect(model.predictBatch(rows, 5, model.featureCount)).toHaveLength(5 * model.outputWidth);
    return true;
  } catch (error) {
    if (isMillraceError(error) && REFUSALS.includes(error.code)) return false;
    throw error;
  }
}

describe("a damaged file is refused and never crashes or hangs", () => {
  test("whatever its end is cut off", () => {
    fc.assert(
      fc.property(anyFixture, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), ({ bytes }, part) => {
        expect(survives(bytes.slice(0, Math.floor(part * bytes.length)))).toBe(false);
      }),
      { numRuns: 400 },
    );
  });

  test("whichever bytes are changed", () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 });
    let refused = 0;
    let loaded = 0;
    fc.assert(
      fc.property(anyFixture, changes, ({ bytes }, edits) => {
        const copy = bytes.slice();
        for (const [at, byte] of edits) copy[at % copy.length] = byte;
        if (survives(copy)) loaded++;
        else refused++;
      }),
      { numRuns: 1500 },
    );
    expect(refused).toBeGreaterThan(100);
    expect(loaded).toBeGreaterThan(0);
  });

  test("whichever bytes are left out or doubled", () => {
    fc.assert(
      fc.property(anyFixture, fc.nat(), fc.nat(64), fc.boolean(), ({ bytes }, at, length, doubles) => {
        const start = at % bytes.length;
        const piece = bytes.subarray(start, start + length);
        const middle = doubles ? [...piece, ...piece] : [];
        survives(Uint8Array.from([...bytes.subarray(0, start), ...middle, ...bytes.subarray(start + length)]));
      }),
      { numRuns: 300 },
    );
  });

  test("bytes of no meaning at all", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom("", "{", "{L", '{"'), (bytes, start) => {
        expect(survives(Uint8Array.from([...new TextEncoder().encode(start), ...bytes]))).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
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
