import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { measureStall } from "../benchmarks/onnx-load.ts";
import { loadModelFolder } from "../src/api/models/load-model-folder.ts";
import { onnxModel } from "../src/api/models/onnx-thread-runner.ts";
import { type OnnxModels, onnxModels } from "./services/onnx-models.ts";

interface Expected {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (number | string)[])[];
  readonly answers: readonly (readonly number[])[];
}

let models: OnnxModels;
beforeAll(() => {
  models = onnxModels(60);
}, 300_000);
afterAll(() => models?.remove());
const expectedOf = (name: string): Expected =>
  JSON.parse(readFileSync(join(models.folder, name, "expected.json"), "utf8"));

describe("ONNX files of other libraries", () => {
  it.each([
    "classifier",
    "forest_three_classes",
    "regressor",
    "pipeline",
    "pipeline_of_columns",
    "xgboost_classifier",
    "xgboost_regressor",
    "large",
  ])("%s answers what ONNX Runtime answers in Python", async (name) => {
    const { columns, rows, answers } = expectedOf(name);
    const { runner } = await loadModelFolder(join(models.folder, name));
    try {
      // In another order of columns than the model's.
      const found = await runner.predict({
        columns: [...columns].reverse(),
        rows: rows.map((row) => [...row].reverse()),
      });
      expect(found).toHaveLength(answers.length);
      for (const [row, answer] of found.entries()) {
        const list = [answer].flat() as number[];
        for (const [i, wanted] of answers[row]!.entries()) {
          expect(Math.abs(list[i]! - wanted)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(wanted)));
        }
      }
    } finally {
      await runner.close();
    }
  });

  it("a classifier with ZipMap is refused, with what to export instead", async () => {
    await expect(loadModelFolder(join(models.folder, "classifier_zipmap"))).rejects.toMatchObject({
      code: "MODEL_UNSUPPORTED",
      message: expect.stringContaining('"zipmap": False'),
    });
  });
});

it("a large file is loaded on a thread of its own while the event loop goes on, and fails there as elsewhere", async () => {
  const bytes = await readFile(join(models.folder, "large", "model.onnx"));
  const { seconds, longestStall, runner } = await measureStall(() => onnxModel(Uint8Array.from(bytes)));
  // On the calling thread the stall is the load.
  expect(longestStall).toBeLessThan(seconds / 2);
  expect(() => runner.prepare(["a", "b"])).toThrow(expect.objectContaining({ code: "SIGNATURE_MISMATCH" }));
  const { predict } = runner.prepare(["a", "b", "c"]);
  await expect(predict([["text", 1, 2]])).rejects.toMatchObject({ code: "MODEL_INPUT_INVALID" });
  const both = await Promise.all([predict([[1, 2, 3]]), predict([[3, 2, 1]])]);
  expect(both).toEqual([await predict([[1, 2, 3]]), await predict([[3, 2, 1]])]);
  await runner.close();
  await runner.close();
  expect(() => predict([[1, 2, 3]])).toThrow(expect.objectContaining({ code: "MODEL_CLOSED" }));
  await expect(onnxModel(Uint8Array.from(bytes.subarray(0, bytes.length / 2)))).rejects.toMatchObject({
    code: "MODEL_CORRUPT",
  });
});
