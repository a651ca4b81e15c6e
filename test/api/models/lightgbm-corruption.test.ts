import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadLightgbmModel } from "../../../src/api/models/lightgbm-model.ts";
import { isMillraceError } from "../../../src/definitions/errors.ts";
import { codeOf, lightgbmFixtures } from "./fixtures.ts";

const fixtures = lightgbmFixtures();
const anyFixture = fc.constantFrom(...fixtures);
const REFUSALS = ["MODEL_CORRUPT", "MODEL_UNSUPPORTED", "MODEL_TOO_LARGE"];
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Loads and predicts; true if it worked, false if it was refused with a code of its own. */
function survives(bytes: Uint8Array): boolean {
  try {
    const model = loadLightgbmModel(bytes);
    if (model.featureCount > 100_000) return true;
    expect(model.predictRow(new Array(model.featureCount).fill(0.5))).toHaveLength(model.outputWidth);
    const rows = new Float64Array(5 * model.featureCount).fill(Number.NaN);
    expect(model.predictBatch(rows, 5, model.featureCount)).toHaveLength(5 * model.outputWidth);
    return true;
  } catch (error) {
    if (isMillraceError(error) && REFUSALS.includes(error.code)) return false;
    throw error;
  }
}

describe("a damaged file is refused and never crashes or hangs", () => {
  test("whatever is cut off before the trees end", () => {
    fc.assert(
      fc.property(anyFixture, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), ({ bytes }, part) => {
        const end = decoder.decode(bytes).indexOf("end of trees") + "end of trees".length;
        expect(survives(bytes.slice(0, Math.floor(part * end)))).toBe(false);
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

  test("whichever digits are changed", () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.constantFrom(..."0123456789-. =\n")), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(anyFixture, changes, ({ bytes }, edits) => {
        const copy = bytes.slice();
        const trees = decoder.decode(bytes).indexOf("end of trees");
        for (const [at, character] of edits) copy[at % trees] = character.charCodeAt(0);
        survives(copy);
      }),
      { numRuns: 2500 },
    );
  });

  test("whichever bytes are left out or doubled", () => {
    fc.assert(
      fc.property(anyFixture, fc.nat(), fc.nat(64), fc.boolean(), ({ bytes }, at, length, doubles) => {
        const start = at % bytes.length;
        const piece = bytes.subarray(start, start + length);
        const middle = doubles ? [...piece, ...piece] : [];
        survives(Uint8Array.from([...bytes.subarray(0, start), ...middle, ...bytes.subarray(start + length)]));
      }),
      { numRuns: 500 },
    );
  });

  test("bytes of no meaning at all", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom("", "tree\n", "tree\nversion=v4\n"),
        (bytes, start) => {
          expect(survives(Uint8Array.from([...encoder.encode(start), ...bytes]))).toBe(false);
        },
      ),
      { numRuns: 500 },
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
