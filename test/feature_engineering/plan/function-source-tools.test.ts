import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RowFunction } from "../../../src/definitions/expression.ts";
import { functionSource } from "../../../src/feature_engineering/plan/function-source.ts";

const file = fileURLToPath(new URL("row-functions.ts", import.meta.url));
type Functions = Readonly<Record<string, RowFunction>>;

/** The compiler and minifier that vitest's bundler brings. */
interface Oxc {
  transformSync(name: string, code: string): { readonly code: string };
  minifySync(name: string, code: string, options?: object): { readonly code: string };
}

async function loadOxc(): Promise<Oxc> {
  const ofVitest = createRequire(createRequire(import.meta.url).resolve("vitest/package.json"));
  const ofVite = createRequire(ofVitest.resolve("vite/package.json"));
  return (await import(pathToFileURL(ofVite.resolve("rolldown/utils")).href)) as Oxc;
}

describe("a function's canonical source is the same", () => {
  let folder: string;
  let code: string;
  let stripped: Functions;
  let oxc: Oxc;

  const load = async (name: string, text: string): Promise<Functions> => {
    const path = join(folder, name);
    await writeFile(path, text);
    return ((await import(pathToFileURL(path).href)) as { readonly functions: Functions }).functions;
  };
  const sources = (functions: Functions): Record<string, string> =>
    Object.fromEntries(Object.entries(functions).map(([name, fn]) => [name, functionSource(fn, name).source]));

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-functions-"));
    code = await readFile(file, "utf8");
    stripped = await load("stripped.mjs", stripTypeScriptTypes(code));
    oxc = await loadOxc();
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("after Node's type stripping and after tsc", async () => {
    const tsc = createRequire(import.meta.url)
      .resolve("typescript/package.json")
      .replace("package.json", "bin/tsc");
    const options = ["--module", "esnext", "--target", "es2022", "--removeComments", "--ignoreConfig", "--noCheck"];
    await promisify(execFile)(process.execPath, [tsc, file, "--outDir", folder, ...options]);
    const compiled = await load("tsc.mjs", await readFile(join(folder, "row-functions.js"), "utf8"));
    expect(sources(compiled)).toEqual(sources(stripped));
  });

  test("after Node's type stripping and after oxc", async () => {
    const compiled = await load("oxc.mjs", oxc.transformSync("row-functions.ts", code).code);
    expect(String(compiled.zscore)).not.toBe(String(stripped.zscore));
    expect(sources(compiled)).toEqual(sources(stripped));
  });

  test("after oxc renames variables and takes out white space", async () => {
    const compiled = await load(
      "mangled.mjs",
      oxc.minifySync("row-functions.mjs", oxc.transformSync("row-functions.ts", code).code, {
        compress: false,
        mangle: true,
      }).code,
    );
    expect(String(compiled.zscore)).not.toContain("mean)");
    expect(sources(compiled)).toEqual(sources(stripped));
  });

  test("after oxc minifies in full, except for the rewritings that are documented as not alike", async () => {
    const compiled = await load(
      "minified.mjs",
      oxc.minifySync("row-functions.mjs", oxc.transformSync("row-functions.ts", code).code).code,
    );
    const before = sources(stripped);
    const after = sources(compiled);
    const others = Object.keys(before).filter((name) => before[name] !== after[name]);
    // `if (a) continue; b` became `a || b`, and `a === true` became `a`.
    expect(others).toEqual(["loop", "constants"]);
  });

  test("and differs for functions that compute something else", () => {
    const all = Object.values(sources(stripped));
    expect(new Set(all).size).toBe(all.length);
  });
});
