import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { completeLockfile } from "../scripts/complete-lockfile.ts";

const lockfile: string = readFileSync(path.join(import.meta.dirname, "..", "package-lock.json"), "utf8");

test("the lockfile names the builds for every platform, else npm ci refuses it", () => {
  expect(completeLockfile(JSON.parse(lockfile).packages)).toEqual([]);
});

test("the lockfile names no registry", () => {
  expect(lockfile).not.toContain('"resolved"');
});

test("a missing build is added beside its parent, below it where another version stands there", () => {
  const packages = {
    "": {},
    "node_modules/a": { optionalDependencies: { "@a/linux-x64-musl": "1.0.0", "@a/win32-arm64": "1.0.0", b: "^1" } },
    "node_modules/c": {},
    "node_modules/c/node_modules/a": { dev: true, optionalDependencies: { "@a/linux-x64-musl": "2.0.0" } },
    "node_modules/d": { optionalDependencies: { "@a/linux-x64-musl": "3.0.0" } },
  };
  const added = completeLockfile(packages);
  expect(added).toEqual([
    "@a/linux-x64-musl@1.0.0",
    "@a/win32-arm64@1.0.0",
    "@a/linux-x64-musl@2.0.0",
    "@a/linux-x64-musl@3.0.0",
  ]);
  const musl = { os: ["linux"], cpu: ["x64"], libc: ["musl"], optional: true };
  expect(packages).toMatchObject({
    "node_modules/@a/linux-x64-musl": { version: "1.0.0", ...musl },
    "node_modules/@a/win32-arm64": { version: "1.0.0", os: ["win32"], cpu: ["arm64"] },
    "node_modules/c/node_modules/@a/linux-x64-musl": { version: "2.0.0", dev: true, ...musl },
    "node_modules/d/node_modules/@a/linux-x64-musl": { version: "3.0.0", ...musl },
  });
  expect(completeLockfile(packages)).toEqual([]);
});
