import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { modelFiles } from "../api/models/write-model.ts";
import { createProject, INDEX, type Project } from "./project.ts";

const FEATURES = `
import { featureService, model, modelFolder, requestSource, t } from ${JSON.stringify(INDEX)};
const request = requestSource({ amount: t.float64() });
export const row = featureService("row_v1", { features: { amount: request.amount } });
export const risk = model("risk", {
  inputs: row, output: { score: t.float64() },
  source: modelFolder(new URL("models", import.meta.url).pathname),
});
export const twice = model("twice", {
  inputs: row, output: { score: t.float64() }, version: "v1", predict: ({ amount }) => ({ score: amount * 2 }),
});`;

async function save(project: Project, version: number, features = ["amount"]): Promise<void> {
  for (const [name, text] of Object.entries(modelFiles({ answer: version, features }))) {
    await project.write(join("models", String(version), name), text);
  }
}

it("shows, pins, loads, unloads and rolls back the models of a running server, by its folder or its address", async () => {
  await using project = await createProject({ "features.ts": FEATURES });
  await save(project, 1);
  await save(project, 2);
  project.start(["serve"], { MILLRACE_MODEL_POLL_SECONDS: "0.2" });
  const url = await vi.waitFor(async () => {
    const found = await project.url();
    expect((await fetch(`${found}/readyz`)).status).toBe(200);
    return found;
  }, 120_000);
  const models = async (...args: string[]): Promise<string> => {
    const done = await project.run(["models", ...args]);
    expect(done.code, done.stderr).toBe(0);
    return done.stdout;
  };
  expect(await models()).toMatch(/risk +row_v1 +serving +2[\s\S]*twice +row_v1 +serving +v1/);
  expect(await models("rollback", "risk").catch(String)).toMatch(/MODEL_NO_PREVIOUS|is the first/);
  expect(await models("pin", "risk", "1")).toBe("risk: serving, pinned, version 1\n");
  expect(await models("unpin", "risk")).toBe("risk: serving, version 2\n");
  expect(await models("rollback", "risk")).toBe("risk: serving, version 1\n");
  expect(await models("unload", "risk")).toBe("risk: unloaded, version 1\n");
  expect(await models("load", "risk")).toBe("risk: serving, version 1\n");
  await save(project, 3, ["amount", "unknown_column"]);
  await vi.waitFor(async () => {
    expect(await models("status", "risk", "--url", url)).toMatch(/3 +.*MODEL_SERVICE_MISMATCH.*unknown_column/);
  }, 120_000);
  expect(await models("status", "risk")).toMatch(/^risk reads row_v1: serving, update fails\n/);
  const refused = await project.run(["models", "rollback", "risk", "--url", url]);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("Authorization")]);
}, 240_000);

it("says that there is no running server to change the models of", async () => {
  await using project = await createProject({ "features.ts": FEATURES });
  await save(project, 1);
  const done = await project.run(["models", "rollback", "risk"]);
  expect([done.code, done.stderr]).toEqual([2, expect.stringContaining("no running server")]);
});
