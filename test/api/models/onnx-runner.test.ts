import { describe, expect, test } from "vitest";
import { onnxRunner } from "../../../src/api/models/onnx-runner.ts";
import { codeOf, readFixture } from "./fixtures.ts";

const matrix = readFixture("mlflow", "onnx", "model.onnx");
const columns = readFixture("columns.onnx");
const named = ["amount", "n_trips", "is_new"].map((name) => ({ name, type: "float", required: true }));

/** A protobuf field that holds `bytes`, shorter than 128. */
const nested = (field: number, bytes: readonly number[]): number[] => [field * 8 + 2, bytes.length, ...bytes];

describe("onnxRunner", () => {
  test("feeds one matrix from named columns in any order and answers with probabilities", async () => {
    const runner = await onnxRunner(matrix, { inputs: named });
    expect(runner.outputs).toEqual([{ name: "probabilities", type: "float32", required: true }]);
    const [first, second] = (await runner.predict({
      columns: ["is_new", "amount", "extra", "n_trips"],
      rows: [
        [false, 2.0409191213851825, "x", 2],
        [0, -2.5556650313141818, null, 7n],
      ],
    })) as number[][];
    // scikit-learn's predict_proba for the same rows.
    expect(first![0]).toBeCloseTo(0.012566626071929932, 5);
    expect(first![1]).toBeCloseTo(0.9874333739280701, 5);
    expect(second![0]).toBeCloseTo(0.9973666667938232, 5);
    await runner.close();
  });

  test("takes unnamed columns in their order and checks their number", async () => {
    const runner = await onnxRunner(matrix);
    expect(runner.inputs).toBeNull();
    const answers = (await runner.predict({
      columns: ["a", "b", "c"],
      rows: [[2.0409191213851825, 2, false]],
    })) as number[][];
    expect(answers[0]![1]).toBeCloseTo(0.9874333739280701, 5);
    expect(await codeOf(() => runner.prepare(["a", "b"]))).toBe("SIGNATURE_MISMATCH");
    await runner.close();
  });

  test("feeds one input per column, of text, float and integer", async () => {
    const runner = await onnxRunner(columns);
    expect(runner.inputs).toEqual([
      { name: "city", type: "string", required: true },
      { name: "amount", type: "float32", required: true },
      { name: "n", type: "int64", required: true },
    ]);
    const prepared = runner.prepare(["n", "city", "amount"]);
    const rows = [
      [2n, "a", 0.7354570627212524],
      [2, "b", -1.145827293395996],
      [3, "a", -0.6588555574417114],
    ];
    const expected = [0.6994832130162589, 0.4090548778705954, 0.47709149632244835];
    const answers = (await prepared.predict(rows)) as number[][];
    for (const [i, answer] of answers.entries()) expect(answer[1]).toBeCloseTo(expected[i]!, 5);
    expect(await prepared.predict([])).toEqual([]);
    for (const row of [
      [null, "a", 1],
      [1.5, "a", 1],
      [1, null, 1],
      [1, 5, 1],
      [1, "a", "1"],
    ]) {
      expect(await codeOf(() => prepared.predict([row]))).toBe("MODEL_INPUT_INVALID");
    }
    expect(await codeOf(() => runner.prepare(["n", "city"]))).toBe("SIGNATURE_MISMATCH");
    await runner.close();
    await runner.close();
    expect(await codeOf(() => prepared.predict(rows))).toBe("MODEL_CLOSED");
  });

  test("answers with another output on request", async () => {
    const runner = await onnxRunner(matrix, { inputs: named, output: "label" });
    expect(
      await runner.predict({
        columns: named.map((c) => c.name),
        rows: [
          [2.04, 2, 0],
          [-2.56, 7, 0],
        ],
      }),
    ).toEqual([1, 0]);
    await runner.close();
    expect(await codeOf(() => onnxRunner(matrix, { output: "nothing" }))).toBe("MODEL_UNSUPPORTED");
  });

  test("refuses ZipMap with the way out", async () => {
    const zipmap = readFixture("mlflow", "onnx-zipmap", "model.onnx");
    expect(await codeOf(() => onnxRunner(zipmap))).toBe("MODEL_UNSUPPORTED");
    await expect(onnxRunner(zipmap)).rejects.toThrow(/"zipmap": False/);
  });

  test("refuses a signature of another width", async () => {
    expect(await codeOf(() => onnxRunner(matrix, { inputs: named.slice(1) }))).toBe("SIGNATURE_MISMATCH");
  });

  test("refuses tensors in other files, wherever they hang, before the runtime sees them", async () => {
    const byLocation = [14 * 8, 1];
    const byEntries = nested(13, nested(1, [1]));
    for (const tensor of [byLocation, byEntries]) {
      const inInitializer = nested(7, nested(5, tensor));
      const inAttribute = nested(7, nested(1, nested(5, nested(5, tensor))));
      const inSubgraph = nested(7, nested(1, nested(5, nested(6, nested(5, tensor)))));
      for (const model of [inInitializer, inAttribute, inSubgraph]) {
        await expect(onnxRunner(Uint8Array.from(model))).rejects.toThrow(/another file/);
      }
    }
  });

  test("refuses bytes that are no model", async () => {
    for (const bytes of [new Uint8Array(), Uint8Array.of(255, 255, 255), matrix.slice(0, 300), Uint8Array.of(8, 9)]) {
      expect(await codeOf(() => onnxRunner(bytes))).toBe("MODEL_CORRUPT");
    }
  });
});
