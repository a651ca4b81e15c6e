import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { folderEtag, folderState } from "../../../src/api/models/folder-etag.ts";
import type { InferenceModel } from "../../../src/api/models/inference-model.ts";
import { createInferencePool, type InferencePool } from "../../../src/api/models/inference-pool.ts";
import { writeModel } from "./write-model.ts";

const COLUMNS = ["a", "b"];
let home: string;
let pool: InferencePool;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "millrace-pool-"));
  pool = createInferencePool({ threads: 1, maxModels: 2 });
});
afterEach(async () => {
  await pool.close();
  await rm(home, { recursive: true, force: true });
});

async function saved(version: string, answer: number): Promise<InferenceModel> {
  const folder = join(home, version);
  await writeModel(folder, { answer, features: COLUMNS });
  const state = await folderState(folder);
  return { folder, etag: await folderEtag(folder, state!.files), columns: COLUMNS };
}

it("a model that was warmed is in the threads' memory: its first batch reads no file", async () => {
  const [warm, cold] = [await saved("1", 0.25), await saved("2", 0.5)];
  await pool.warm(warm);
  expect([pool.holds(warm), pool.holds(cold)]).toEqual([true, false]);
  await rm(warm.folder, { recursive: true });
  await rm(cold.folder, { recursive: true });
  expect(
    await pool.predict(warm, [
      [1, 2],
      [null, 3],
    ]),
  ).toEqual([0.25, 0.25]);
  await expect(pool.predict(cold, [[1, 2]])).rejects.toMatchObject({ code: expect.stringMatching(/^MODEL_/) });
});

it("threads hold as many models as they may, those used last", async () => {
  const models = [await saved("1", 0.25), await saved("2", 0.5), await saved("3", 0.75)];
  for (const model of models) expect(await pool.predict(model, [[1, 2]])).toHaveLength(1);
  expect(models.map((model) => pool.holds(model))).toEqual([false, true, true]);
});

it("to warm a model whose folder has another content fails, and the threads go on", async () => {
  const model = await saved("1", 0.25);
  await expect(pool.warm({ ...model, etag: "another" })).rejects.toMatchObject({ code: "MODEL_VERSION_CHANGED" });
  expect(await pool.predict(model, [[1, 2]])).toEqual([0.25]);
});
