import { describe, expect, test } from "vitest";
import { loadLightgbmModel } from "../../../src/api/models/lightgbm-model.ts";
import { lightgbmRunner } from "../../../src/api/models/lightgbm-runner.ts";
import { codeOf, lightgbmFixtures } from "./fixtures.ts";

const fixtures = lightgbmFixtures();
const encoder = new TextEncoder();

interface Shape {
  readonly tree: readonly string[];
  readonly header?: readonly string[];
  readonly tail?: string;
}

/** A file of one tree. */
function file({ tree, header = [], tail = "" }: Shape): Uint8Array {
  const head = ["version=v4", "num_class=1", "num_tree_per_iteration=1", "max_feature_idx=0", "feature_names=x"];
  return encoder.encode(
    `tree\n${[...head, ...header].join("\n")}\n\nTree=0\n${tree.join("\n")}\n\n\nend of trees\n\nparameters:\n\nend of parameters\n${tail}`,
  );
}

/** One split of the feature x: leaf 0 on the left gives 1, leaf 1 on the right 2. */
function split(decision: number, threshold: string, more: readonly string[] = []): readonly string[] {
  return [
    "num_leaves=2",
    "num_cat=0",
    "split_feature=0",
    `threshold=${threshold}`,
    `decision_type=${decision}`,
    "left_child=-1",
    "right_child=-2",
    "leaf_value=1 2",
    ...more,
  ];
}

const LEFT = 2;
const ZERO = 4;
const NAN = 8;
const predict = (bytes: Uint8Array, x: number): number => loadLightgbmModel(bytes).predictRow([x])[0]!;

describe("predictions equal LightGBM's own to the bit of a double", () => {
  test("the fixtures cover three major versions and every objective", () => {
    expect(fixtures).toHaveLength(23);
    expect(new Set(fixtures.map(({ objective }) => objective)).size).toBe(17);
  });

  test.each(fixtures)("$name, $objective", ({ bytes, features, rowCount, rows, margins, outputs }) => {
    for (const [output, expected] of [
      ["margin", margins],
      ["transformed", outputs],
    ] as const) {
      const model = loadLightgbmModel(bytes, { output });
      expect(model.predictBatch(rows, rowCount, features)).toEqual(expected);
      const single = Array.from({ length: rowCount }, (_, i) =>
        model.predictRow(rows.subarray(i * features, (i + 1) * features)),
      );
      expect(Float64Array.from(single.flat())).toEqual(expected);
    }
  });

  test("a long batch equals its rows one by one", () => {
    const { bytes, features, rows } = fixtures.find((fixture) => fixture.objective === "multiclass")!;
    const count = 203;
    const matrix = Float64Array.from({ length: count * features }, (_, i) => rows[(i * 7) % rows.length]!);
    const model = loadLightgbmModel(bytes);
    const single = Array.from({ length: count }, (_, i) =>
      model.predictRow(matrix.subarray(i * features, (i + 1) * features)),
    );
    expect(model.predictBatch(matrix, count, features)).toEqual(Float64Array.from(single.flat()));
  });
});

describe("a split by number", () => {
  test("sends a value equal to its threshold left, compared as a double", () => {
    const bytes = file({ tree: split(LEFT | NAN, "0.10000000000000001") });
    expect(predict(bytes, 0.1)).toBe(1);
    expect(predict(bytes, 0.10000000000000002)).toBe(2);
    expect(predict(bytes, Math.fround(0.1))).toBe(2);
    expect(predict(bytes, Number.NEGATIVE_INFINITY)).toBe(1);
    expect(predict(bytes, Number.POSITIVE_INFINITY)).toBe(2);
  });

  test("takes what counts as missing by the kind that it declares", () => {
    const cases = [
      { decision: 0, nan: 1, zero: 1, other: 2 },
      { decision: LEFT, nan: 1, zero: 1, other: 2 },
      { decision: ZERO, nan: 2, zero: 2, other: 2 },
      { decision: LEFT | ZERO, nan: 1, zero: 1, other: 2 },
      { decision: NAN, nan: 2, zero: 1, other: 2 },
      { decision: LEFT | NAN, nan: 1, zero: 1, other: 2 },
    ];
    for (const { decision, nan, zero, other } of cases) {
      const bytes = file({ tree: split(decision, "0.5") });
      expect([decision, predict(bytes, Number.NaN)]).toEqual([decision, nan]);
      expect([decision, predict(bytes, -0)]).toEqual([decision, zero]);
      expect([decision, predict(bytes, 1e-36)]).toEqual([decision, zero]);
      expect([decision, predict(bytes, 7)]).toEqual([decision, other]);
    }
  });
});

describe("a split by category", () => {
  // Bits 1, 3 and 33.
  const bytes = file({ tree: split(1, "0", ["cat_boundaries=0 2", "cat_threshold=10 2"]).with(1, "num_cat=1") });

  test("sends its set left and all else right", () => {
    for (const x of [1, 3, 33, 1.7]) expect([x, predict(bytes, x)]).toEqual([x, 1]);
    for (const x of [0, 2, 32, 34, 64, -1, -0.5, 1e10, -1e10, 2 ** 31, 2 ** 31 - 1, Infinity, -Infinity, NaN]) {
      expect([x, predict(bytes, x)]).toEqual([x, 2]);
    }
  });
});

describe("what is not evaluated is refused by name", () => {
  test.each([
    ["linear trees", file({ tree: [...split(2, "1"), "is_linear=1"] }), "MODEL_UNSUPPORTED"],
    ["an unknown objective", file({ tree: split(2, "1"), header: ["objective=mine a:1"] }), "MODEL_UNSUPPORTED"],
    ["a sigmoid of 0", file({ tree: split(2, "1"), header: ["objective=binary sigmoid:0"] }), "MODEL_CORRUPT"],
    [
      "more classes than trees",
      file({ tree: split(2, "1"), header: ["objective=multiclass num_class:3"] }),
      "MODEL_CORRUPT",
    ],
  ])("%s", async (_, bytes, code) => {
    expect(await codeOf(() => loadLightgbmModel(bytes))).toBe(code);
  });

  test("an objective of one's own, or none, leaves the sums as they are", () => {
    expect(predict(file({ tree: split(2, "1"), header: ["objective=custom"] }), 0)).toBe(1);
    expect(predict(file({ tree: ["num_leaves=1", "num_cat=0", "leaf_value=0.25"] }), 0)).toBe(0.25);
  });

  test("a row of another width", async () => {
    const model = loadLightgbmModel(file({ tree: split(2, "1") }));
    expect(await codeOf(() => model.predictRow([1, 2]))).toBe("SIGNATURE_MISMATCH");
    expect(await codeOf(() => model.predictBatch(new Float64Array(3), 9, 1))).toBe("SIGNATURE_MISMATCH");
  });
});

describe("the runner", () => {
  test("takes texts where it is certain which columns the file's categories belong to", async () => {
    const tree = split(1, "0", ["cat_boundaries=0 1", "cat_threshold=2"]).with(1, "num_cat=1");
    const tail = 'pandas_categorical:[["a", "b"]]\n';
    const certain = lightgbmRunner(file({ tree, header: ["feature_infos=0:1"], tail }));
    expect(certain.prepare(["x"]).predictRow!(["b"])).toBe(1);
    expect(certain.prepare(["x"]).predictRow!(["a"])).toBe(2);
    const bySignature = lightgbmRunner(file({ tree, header: ["feature_infos=[0:1]"], tail }), {
      inputs: [{ name: "x", type: "string", required: true }],
    });
    expect(bySignature.prepare(["x"]).predictRow!(["b"])).toBe(1);
    const unsure = lightgbmRunner(file({ tree, header: ["feature_infos=none"], tail }));
    expect(await codeOf(() => unsure.prepare(["x"]).predictRow!(["b"]))).toBe("MODEL_INPUT_INVALID");
    expect(unsure.prepare(["x"]).predictRow!([1])).toBe(1);
  });

  test("a matrix of either precision gets the answers of its rows", async () => {
    for (const { bytes, features, rowCount, rows } of fixtures) {
      const prepared = lightgbmRunner(bytes).prepare(Array.from({ length: features }, (_, f) => `f_${f}`));
      const table = Array.from({ length: rowCount }, (_, i) => [...rows.subarray(i * features, (i + 1) * features)]);
      expect([...prepared.predictMatrix!(rows, rowCount).values]).toEqual((await prepared.predict(table)).flat());
      const floats = Float32Array.from(rows);
      expect([...prepared.predictMatrix!(floats, rowCount).values]).toEqual([
        ...prepared.predictMatrix!(Float64Array.from(floats), rowCount).values,
      ]);
    }
  });
});
