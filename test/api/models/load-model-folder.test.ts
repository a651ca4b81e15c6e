import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadModelFolder } from "../../../src/api/models/load-model-folder.ts";
import { loadXgboostModel } from "../../../src/api/models/xgboost-model.ts";
import { codeOf, FIXTURES, readFixture } from "./fixtures.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "millrace-model-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** A copy of a committed MLflow folder, to be changed. */
async function copyOf(name: string): Promise<string> {
  const folder = join(home, name);
  await cp(join(FIXTURES, "mlflow", name), folder, { recursive: true });
  return folder;
}

async function edit(folder: string, from: string | RegExp, to: string): Promise<void> {
  const path = join(folder, "MLmodel");
  const text = await readFile(path, "utf8");
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  await writeFile(path, changed);
}

describe("folders that MLflow 3.17 wrote", () => {
  test("an XGBoost booster with signature and example", async () => {
    const loaded = await loadModelFolder(join(FIXTURES, "mlflow", "xgb-booster"));
    expect(loaded.flavor).toBe("xgboost");
    expect(loaded.signature).toEqual({
      inputs: {
        kind: "columns",
        columns: [
          { name: "amount", type: "double", required: true },
          { name: "n_trips", type: "double", required: true },
          { name: "is_new", type: "boolean", required: true },
        ],
      },
      outputs: { kind: "tensors", tensors: [{ name: null, type: "float32", shape: [-1] }] },
    });
    expect(loaded.inputExample?.columns).toEqual(["amount", "n_trips", "is_new"]);
    expect(loaded.inputExample?.rows).toHaveLength(2);
    expect(loaded.runner.inputs?.[2]).toEqual({ name: "is_new", type: "boolean", required: true });
    expect(loaded.runner.outputs).toEqual([{ name: "probability", type: "float", required: true }]);
    expect(loaded.about).toMatchObject({ mlflowVersion: "3.17.2", libraryVersion: "3.2.0", runId: null });
    expect(loaded.millrace).toBeNull();
    expect(loaded.loadSeconds).toBeGreaterThan(0);
    const model = loadXgboostModel(readFixture("mlflow", "xgb-booster", "model.ubj"));
    expect(await loaded.runner.predict(loaded.inputExample!)).toEqual([
      model.predictRow([2.0409191213851825, 2, 0])[0],
      model.predictRow([-2.5556650313141818, 7, 0])[0],
    ]);
  });

  test("an XGBClassifier whose signature has labels answers with labels, or as told", async () => {
    const folder = join(FIXTURES, "mlflow", "xgb-classifier");
    const batch = {
      columns: ["amount", "n_trips", "is_new"],
      rows: [
        [2.0409191213851825, 2, false],
        [-2.5556650313141818, 7, false],
      ],
    };
    expect(await (await loadModelFolder(folder)).runner.predict(batch)).toEqual([1, 0]);
    const scores = await (await loadModelFolder(folder, { output: "transformed" })).runner.predict(batch);
    expect(scores[0]).toBeCloseTo(0.7530912160873413, 6);
  });

  test("an ONNX model gets its feature names from the signature", async () => {
    const loaded = await loadModelFolder(join(FIXTURES, "mlflow", "onnx"));
    expect(loaded.flavor).toBe("onnx");
    expect(loaded.inputExample).toEqual({
      columns: ["amount", "n_trips", "is_new"],
      rows: [
        [2.040919065475464, 2, 0],
        [-2.5556650161743164, 7, 0],
      ],
    });
    const answers = (await loaded.runner.predict({
      columns: ["n_trips", "amount", "is_new"],
      rows: [[2, 2.0409191213851825, false]],
    })) as number[][];
    expect(answers[0]![1]).toBeCloseTo(0.9874333739280701, 5);
    await loaded.runner.close();
  });

  test("an ONNX model with ZipMap is refused", async () => {
    expect(await codeOf(() => loadModelFolder(join(FIXTURES, "mlflow", "onnx-zipmap")))).toBe("MODEL_UNSUPPORTED");
  });

  test("a scikit-learn pickle is refused with the way out", async () => {
    const folder = join(FIXTURES, "mlflow", "sklearn");
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_FLAVOR_UNSUPPORTED");
    await expect(loadModelFolder(folder)).rejects.toThrow(/pickles are never loaded.*onnx/s);
  });

  test("a LightGBM booster takes its data frame's categories as texts", async () => {
    const folder = join(FIXTURES, "mlflow", "lightgbm");
    const loaded = await loadModelFolder(folder);
    expect(loaded.flavor).toBe("lightgbm");
    expect(loaded.about.libraryVersion).toBe("4.7.0");
    expect(loaded.inputExample?.columns).toEqual(["amount", "city"]);
    expect(loaded.runner.outputs).toEqual([{ name: "probability", type: "double", required: true }]);
    const { rows, outputs } = JSON.parse(await readFile(join(folder, "expected.json"), "utf8"));
    expect(await loaded.runner.predict({ columns: ["amount", "city"], rows })).toEqual(outputs);
    const prepared = loaded.runner.prepare(["city", "amount"]);
    expect(prepared.predictMatrix).toBeUndefined();
    expect(prepared.predictRow!(["Zug", rows[1][0]])).toBe(outputs[1]);
    expect(prepared.predictRow!(["Rom", 0.5])).toBe(prepared.predictRow!([null, 0.5]));
  });

  test("a LightGBM model that was saved as a pickle is refused with the way out", async () => {
    const folder = await copyOf("lightgbm");
    await edit(folder, "    data: model.lgb", "    data: model.pkl");
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_FLAVOR_UNSUPPORTED");
    await expect(loadModelFolder(folder)).rejects.toThrow(/pickle model\.pkl.*booster_/s);
  });
});

describe("millrace.json", () => {
  test("is found at the root and below, nearest first", async () => {
    const folder = await copyOf("xgb-booster");
    await mkdir(join(folder, "artifacts", "b"), { recursive: true });
    await writeFile(join(folder, "artifacts", "b", "millrace.json"), '{"service":"deep"}');
    expect((await loadModelFolder(folder)).millrace).toEqual({ service: "deep" });
    await writeFile(join(folder, "millrace.json"), '{"service":"fraud"}');
    expect((await loadModelFolder(folder)).millrace).toEqual({ service: "fraud" });
    await writeFile(join(folder, "millrace.json"), "[]");
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_CORRUPT");
  });
});

describe("nothing outside the folder is read", () => {
  test.each([
    "../secret.ubj",
    "../not-there.ubj",
    "/etc/hostname",
    "a/../../secret.ubj",
    "C:\\secret.ubj",
    "..\\secret.ubj",
  ])("by the path %s", async (path) => {
    const folder = await copyOf("xgb-booster");
    await cp(join(folder, "model.ubj"), join(home, "secret.ubj"));
    await edit(folder, /( {2}xgboost:[\s\S]*data: )model\.ubj/, `$1${path}`);
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_PATH_OUTSIDE");
  });

  test("by symbolic links of files and of folders", async () => {
    const folder = await copyOf("xgb-booster");
    await cp(join(folder, "model.ubj"), join(home, "secret.ubj"));
    await rm(join(folder, "model.ubj"));
    await symlink(join(home, "secret.ubj"), join(folder, "model.ubj"));
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_PATH_OUTSIDE");
    await symlink(home, join(folder, "up"));
    await edit(folder, /( {2}xgboost:[\s\S]*data: )model\.ubj/, "$1up/secret.ubj");
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_PATH_OUTSIDE");
  });

  test("by the input example or millrace.json", async () => {
    const folder = await copyOf("xgb-booster");
    await writeFile(join(home, "other.json"), "{}");
    await symlink(join(home, "other.json"), join(folder, "millrace.json"));
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_PATH_OUTSIDE");
    await rm(join(folder, "millrace.json"));
    await edit(folder, "artifact_path: input_example.json", "artifact_path: ../other.json");
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_PATH_OUTSIDE");
  });

  test("links that stay inside, and a link to the folder itself, are fine", async () => {
    const folder = await copyOf("xgb-booster");
    await mkdir(join(folder, "data"));
    await cp(join(folder, "model.ubj"), join(folder, "data", "real.ubj"));
    await rm(join(folder, "model.ubj"));
    await symlink(join("data", "real.ubj"), join(folder, "model.ubj"));
    await symlink(folder, join(home, "alias"));
    expect((await loadModelFolder(join(home, "alias"))).flavor).toBe("xgboost");
  });
});

describe("broken folders are refused", () => {
  test("missing folder, MLmodel or data", async () => {
    expect(await codeOf(() => loadModelFolder(join(home, "nothing")))).toBe("MODEL_NOT_FOUND");
    expect(await codeOf(() => loadModelFolder(home))).toBe("MODEL_NOT_FOUND");
    const folder = await copyOf("xgb-booster");
    await rm(join(folder, "model.ubj"));
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_NOT_FOUND");
  });

  test("files above the limits", async () => {
    const folder = join(FIXTURES, "mlflow", "xgb-booster");
    expect(await codeOf(() => loadModelFolder(folder, { limits: { modelBytes: 1000 } }))).toBe("MODEL_TOO_LARGE");
    expect(await codeOf(() => loadModelFolder(folder, { limits: { sideFileBytes: 100 } }))).toBe("MODEL_TOO_LARGE");
  });

  test.each([
    "",
    "[1, 2]",
    "flavors: [",
    "flavors: 3",
    "a: &a [*a, *a]\nflavors: *a",
    "signature: {inputs: '{'}\nflavors: {xgboost: {data: model.ubj}}",
    "flavors: {xgboost: {data: 5}}",
  ])("an MLmodel of %j", async (text) => {
    const folder = await copyOf("xgb-booster");
    await writeFile(join(folder, "MLmodel"), text);
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_CORRUPT");
  });

  test("aliases that grow without end", async () => {
    const folder = await copyOf("xgb-booster");
    const lines = ["a0: &a0 [x, x]"];
    for (let i = 1; i < 40; i++) lines.push(`a${i}: &a${i} [*a${i - 1}, *a${i - 1}, *a${i - 1}]`);
    await writeFile(join(folder, "MLmodel"), [...lines, "flavors: {xgboost: {data: model.ubj}}"].join("\n"));
    expect(await codeOf(() => loadModelFolder(folder))).toBe("MODEL_CORRUPT");
  });

  test("an example that does not fit the model", async () => {
    const folder = await copyOf("xgb-booster");
    await writeFile(join(folder, "input_example.json"), '{"columns":["amount"],"data":[[1]]}');
    expect(await codeOf(() => loadModelFolder(folder))).toBe("SIGNATURE_MISMATCH");
  });
});
