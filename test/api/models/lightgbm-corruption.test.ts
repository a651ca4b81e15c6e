import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadLightgbmModel } from "../../../src/api/models/lightgbm-model.ts";
import { describeDamage, survivalOf } from "./damaged-models.ts";
import { codeOf, lightgbmFixtures } from "./fixtures.ts";

const fixtures = lightgbmFixtures();
const decoder = new TextDecoder();
const encoder = new TextEncoder();
const survives = survivalOf(loadLightgbmModel, (length) => new Float64Array(length));
/** What follows the trees is not needed. */
const endOfTrees = (bytes: Uint8Array): number => decoder.decode(bytes).indexOf("end of trees");

describe("a damaged file is refused and never crashes or hangs", () => {
  describeDamage(fixtures, survives, {
    starts: ["", "tree\n", "tree\nversion=v4\n"],
    needed: (bytes) => endOfTrees(bytes) + "end of trees".length,
  });

  test("whichever digits are changed", () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.constantFrom(..."0123456789-. =\n")), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(fc.constantFrom(...fixtures), changes, ({ bytes }, edits) => {
        const copy = bytes.slice();
        const trees = endOfTrees(bytes);
        for (const [at, character] of edits) copy[at % trees] = character.charCodeAt(0);
        survives(copy);
      }),
      { numRuns: 2500 },
    );
  });
});

describe("trees that would mislead a walk", () => {
  const { bytes } = fixtures.find(({ name }) => name === "lightgbm-4/model-0.txt")!;
  const text = decoder.decode(bytes);
  const load = (from: RegExp, to: string): Promise<unknown> => {
    const changed = text.replace(from, to);
    expect(changed).not.toBe(text);
    return codeOf(() => loadLightgbmModel(encoder.encode(changed)));
  };

  test.each<[string, RegExp, string]>([
    ["a cycle", /left_child=\S+/, "left_child=0"],
    ["a child that is no number", /right_child=(?:\S+ )*\S+/, "$&x"],
    ["a child that does not exist", /left_child=\S+/, "left_child=99"],
    ["a leaf that does not exist", /left_child=\S+/, "left_child=-99"],
    ["a feature that does not exist", /split_feature=\S+/, "split_feature=99"],
    ["an unknown kind of decision", /decision_type=\S+/, "decision_type=64"],
    ["a threshold that is not a number", /threshold=\S+/, "threshold=nan"],
    ["more leaves than values", /num_leaves=\d+/, "num_leaves=77"],
    ["leaves beyond all memory", /num_leaves=\d+/, "num_leaves=999999999999"],
    ["a tree too few", /tree_sizes=\S+ /, "tree_sizes="],
    ["a tree that calls itself otherwise", /Tree=1/, "Tree=7"],
    ["a feature without a name", /feature_names=\S+ /, "feature_names="],
    ["categories that are no list", /pandas_categorical:.*/, "pandas_categorical:{}"],
  ])("%s", async (_, from, to) => {
    expect(await load(from, to)).toBe("MODEL_CORRUPT");
  });
});
