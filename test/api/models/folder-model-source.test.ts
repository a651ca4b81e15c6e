import { appendFile, mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { compareVersions, folderModelSource } from "../../../src/api/models/folder-model-source.ts";
import type { ModelSource } from "../../../src/api/models/model-source.ts";
import { writeModel } from "./write-model.ts";

const MODEL = { answer: 1, features: ["a"] } as const;
let root: string;
let path: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "millrace-source-"));
  path = join(root, "models");
  await mkdir(path);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const listed = async (source: ModelSource): Promise<string[]> => (await source.list()).map(({ version }) => version);

describe("a folder of model versions", () => {
  it("lists complete versions, the largest number first, then other names", async () => {
    for (const name of ["2", "10", "1", "v9", "v10", ".hidden"]) await writeModel(join(path, name), MODEL);
    await mkdir(join(path, "11"));
    await writeFile(join(path, "12"), "not a folder");
    expect(await listed(folderModelSource({ path, quietMs: 0 }))).toEqual(["10", "2", "1", "v10", "v9"]);
  });

  it("takes a folder that is itself a model as one version, named by its content", async () => {
    await writeModel(path, MODEL);
    const source = folderModelSource({ path, quietMs: 0 });
    const [before] = await source.list();
    expect(before?.version).toMatch(/^[0-9a-f]{12}$/);
    expect((await source.fetch(before!)).folder).toBe(path);
    await writeModel(path, { ...MODEL, answer: 2 });
    expect(await listed(source)).not.toEqual([before?.version]);
  });

  it("gives what was written anew under the same name another id, and equal content the same", async () => {
    await writeModel(join(path, "1"), MODEL);
    const source = folderModelSource({ path, quietMs: 0 });
    const [first] = await source.list();
    await writeModel(join(path, "1"), MODEL);
    expect((await source.list())[0]?.id).toBe(first?.id);
    await writeModel(join(path, "1"), { ...MODEL, answer: 2 });
    const [second] = await source.list();
    expect(second?.version).toBe("1");
    expect(second?.id).not.toBe(first?.id);
  });

  it("does not list a version that is still being copied, whatever its files' modification times say", async () => {
    let later = 0;
    const source = folderModelSource({ path, quietMs: 60_000, now: () => Date.now() + later });
    expect(await listed(source)).toEqual([]);
    const folder = join(path, "1");
    await writeModel(folder, { ...MODEL, bytes: '{"learner":' });
    const old = new Date(2020, 0, 1);
    for (const file of ["MLmodel", "model.json"]) await utimes(join(folder, file), old, old);
    expect(await listed(source)).toEqual([]);
    await appendFile(join(folder, "model.json"), "{}}");
    expect(await listed(source)).toEqual([]);
    later = 61_000;
    expect(await listed(source)).toEqual(["1"]);
  });

  it("keeps the place of a version that is being written anew, until the new content is complete", async () => {
    await writeModel(join(path, "1"), MODEL);
    await writeModel(join(path, "2"), MODEL);
    let later = 61_000;
    const source = folderModelSource({ path, quietMs: 60_000, now: () => Date.now() + later });
    const before = await source.list();
    later = 0;
    await writeModel(join(path, "2"), { ...MODEL, answer: 2 });
    expect(await source.list()).toEqual(before);
    await expect(source.fetch(before[0]!)).rejects.toMatchObject({ code: "MODEL_VERSION_CHANGED" });
    later = 61_000;
    expect((await source.list())[0]?.id).not.toBe(before[0]?.id);
  });

  it("lists a version that was written elsewhere and renamed into place", async () => {
    await writeModel(join(root, "draft"), MODEL);
    const source = folderModelSource({ path, quietMs: 0 });
    expect(await listed(source)).toEqual([]);
    await rename(join(root, "draft"), join(path, "7"));
    expect(await listed(source)).toEqual(["7"]);
  });

  it("waits once for a model that was saved just before the start", async () => {
    await writeModel(join(path, "1"), MODEL);
    expect(await listed(folderModelSource({ path, quietMs: 50 }))).toEqual(["1"]);
  });

  it("does not hand out a version whose files changed since it was listed", async () => {
    await writeModel(join(path, "1"), MODEL);
    const source = folderModelSource({ path, quietMs: 0 });
    const [version] = await source.list();
    expect((await source.fetch(version!)).folder).toBe(join(path, "1"));
    await writeModel(join(path, "1"), { ...MODEL, answer: 2 });
    await expect(source.fetch(version!)).rejects.toMatchObject({ code: "MODEL_VERSION_CHANGED" });
    await rm(join(path, "1"), { recursive: true });
    await expect(source.fetch(version!)).rejects.toMatchObject({ code: "MODEL_VERSION_CHANGED" });
  });

  it("never reads what a link in a version points to", async () => {
    await writeModel(join(path, "1"), MODEL);
    await symlink("/dev/zero", join(path, "1", "endless"));
    expect(await listed(folderModelSource({ path, quietMs: 0 }))).toEqual(["1"]);
  });

  it("says that the folder is missing", async () => {
    const source = folderModelSource({ path: join(root, "nowhere"), quietMs: 0 });
    await expect(source.list()).rejects.toMatchObject({ code: "MODEL_NOT_FOUND", kind: "operational" });
  });
});

describe("the order of versions", () => {
  it("is that of the numbers, whatever their length", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.bigInt({ min: 0n, max: 10n ** 30n }), (a, b) => {
        expect(Math.sign(compareVersions(String(a), String(b)))).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  it("is total", () => {
    const name = fc.stringMatching(/^[a-c0-2.-]{1,6}$/);
    fc.assert(
      fc.property(name, name, name, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b))).toBe(-Math.sign(compareVersions(b, a)) + 0);
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0)
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
        if (a !== b) expect(compareVersions(a, b)).not.toBe(0);
      }),
      { numRuns: 1_000 },
    );
  });
});
