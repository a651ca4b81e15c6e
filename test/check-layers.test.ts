import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkLayers, type Violation } from "../scripts/check-layers.ts";

const repository: string = path.join(import.meta.dirname, "..");
let copy: string;

beforeAll(() => {
  copy = mkdtempSync(path.join(tmpdir(), "millrace-layers-"));
  cpSync(path.join(repository, "layers.json"), path.join(copy, "layers.json"));
  cpSync(path.join(repository, "src"), path.join(copy, "src"), {
    recursive: true,
    filter: (from) => path.extname(from) === "" || from.endsWith(".ts"),
  });
});

afterAll(() => {
  rmSync(copy, { recursive: true, force: true });
});

/** The violations in one file of the copy, which exists for the time of the check only. */
function violationsOf(file: string, text: string): readonly Violation[] {
  const planted = path.join(copy, file);
  mkdirSync(path.dirname(planted), { recursive: true });
  writeFileSync(planted, text);
  try {
    return checkLayers(copy).filter((violation) => violation.file === file);
  } finally {
    rmSync(planted);
  }
}

const PURE_FILE = "src/feature_engineering/windows/planted.ts";
const ENGINE_FILE = "src/feature_engineering/engine/planted.ts";
const API_FILE = "src/api/planted.ts";

test("the real tree keeps every rule", () => {
  expect(checkLayers(repository)).toEqual([]);
});

describe("an import against the table is found", () => {
  const target = '"../../feature_store/feature-store.ts"';
  test.each([
    ["as a plain import", `import { x } from ${target};\nx();`],
    ["as an import for its effects", `import ${target};`],
    ["as a type import", `import type { X } from ${target};\nexport type Y = X;`],
    ["as a type in place", `export type Y = import(${target}).X;`],
    ["as a dynamic import", `export const x = await import(${target});`],
    ["as a dynamic import from a template", `export const x = await import(\`${target.slice(1, -1)}\`);`],
    ["as a re-export of names", `export { x } from ${target};`],
    ["as a re-export of everything", `export * from ${target};`],
    ["as a re-export of types", `export type { X } from ${target};`],
    ["as require", `export const x = require(${target});`],
    ["as the address of a worker", `export const x = new URL(${target}, import.meta.url);`],
  ])("%s", (_how, text) => {
    const [first] = violationsOf(ENGINE_FILE, `\n${text}\n`);
    expect(first).toMatchObject({ line: 2, what: "imports ../../feature_store/feature-store.ts" });
    expect(first?.why).toMatch(/^feature_engineering\/engine may not import from feature_store/);
  });
});

test.each([
  ["src/definitions/planted.ts", "../ingestion/stream-message.ts"],
  ["src/ingestion/planted.ts", "../feature_engineering/windows/x.ts"],
  ["src/ingestion/planted.ts", "../feature_store/x.ts"],
  [PURE_FILE, "../engine/x.ts"],
  [PURE_FILE, "../../ingestion/stream-message.ts"],
  [ENGINE_FILE, "../../ingestion/stream-ingestion.ts"],
  [ENGINE_FILE, "../../monitoring/x.ts"],
  ["src/feature_store/planted.ts", "../ingestion/stream-message.ts"],
  ["src/feature_store/planted.ts", "../feature_engineering/engine/x.ts"],
  ["src/feature_store/planted.ts", "../api/x.ts"],
  ["src/monitoring/planted.ts", "../feature_store/feature-store.ts"],
  ["src/monitoring/planted.ts", "../platform.ts"],
  [API_FILE, "../monitoring/x.ts"],
  [API_FILE, "../platform.ts"],
  ["src/client/x.ts", "./api/x.ts"],
  [API_FILE, "../../test/x.ts"],
])("%s may not import %s", (file, specifier) => {
  expect(violationsOf(file, `import type { X } from "${specifier}";\nexport type Y = X;`)).toHaveLength(1);
});

test.each([
  [PURE_FILE, 'import type { Value } from "../../definitions/value.ts";\nexport type X = Value;'],
  [PURE_FILE, 'import { x } from "../encoding/x.ts";\nx();'],
  ["src/feature_engineering/plan/planted.ts", 'import { parse } from "acorn";\nparse("1");'],
  [
    ENGINE_FILE,
    'import type { StreamMessage } from "../../ingestion/stream-message.ts";\nexport type X = StreamMessage;',
  ],
  ["src/feature_store/planted.ts", 'import { x } from "../feature_engineering/windows/x.ts";\nx();'],
  ["src/feature_store/planted.ts", 'export type { FeatureSink } from "../feature_engineering/engine/feature-sink.ts";'],
  ["src/feature_store/online/lmdb-online-store.ts", 'export const lmdb = await import("lmdb");'],
  ["src/monitoring/planted.ts", 'import { x } from "../ingestion/channels.ts";\nx();'],
  [API_FILE, 'import { x } from "../monitoring/read-side.ts";\nx();'],
  ["src/config/module-loader.ts", 'import { x } from "./monitoring/x.ts";\nx(await import(process.argv[2] ?? ""));'],
])("%s may contain %s", (file, text) => {
  expect(violationsOf(file, text)).toEqual([]);
});

test("a file that is open for some names refuses the others", () => {
  const text = 'import type { RawMessage } from "../../ingestion/stream-message.ts";\nexport type X = RawMessage;';
  expect(violationsOf(ENGINE_FILE, text)[0]?.why).toMatch(/may import only StreamMessage, .* from it$/);
  const inPlace = 'export type X = import("../../ingestion/stream-message.ts").RawMessage;';
  expect(violationsOf(ENGINE_FILE, inPlace)[0]?.why).toMatch(/may import only StreamMessage, .* from it$/);
  expect(violationsOf(ENGINE_FILE, 'export * from "../../ingestion/stream-message.ts";')).toHaveLength(1);
});

test("a file that is open for types refuses values", () => {
  const text = 'import { FeatureSink } from "../feature_engineering/engine/feature-sink.ts";\nFeatureSink();';
  expect(violationsOf("src/feature_store/planted.ts", text)[0]?.why).toMatch(/use import type$/);
});

test("a Node built-in is refused in a PURE folder, with and without its prefix", () => {
  for (const name of ["node:crypto", "crypto", "fs/promises", "node:diagnostics_channel"]) {
    const [first] = violationsOf(PURE_FILE, `import { x } from "${name}";\nx();`);
    expect(first?.why).toMatch(/Node built-in/);
  }
});

test("a Node built-in that its area does not list is refused", () => {
  expect(violationsOf(ENGINE_FILE, 'import { x } from "node:fs";\nx();')).toHaveLength(1);
  expect(violationsOf(API_FILE, 'import { x } from "node:vm";\nx();')).toHaveLength(1);
  expect(violationsOf("src/platform.ts", 'import { x } from "node:vm";\nx();')).toHaveLength(1);
});

test.each([
  ["lmdb", "src/feature_store/online/planted.ts"],
  ["lmdb", "src/platform.ts"],
  ["@duckdb/node-api", "src/feature_store/online/planted.ts"],
  ["fastify", "src/monitoring/planted.ts"],
  ["onnxruntime-node", "src/api/models/planted.ts"],
  ["@prometheus-io/client", API_FILE],
  ["acorn", PURE_FILE],
  ["left-pad", API_FILE],
  ["millrace", API_FILE],
])("the package %s is refused in %s", (name, file) => {
  expect(violationsOf(file, `import { x } from "${name}";\nx();`)).toHaveLength(1);
  expect(violationsOf(file, `export const x = await import("${name}/sub/path.js");`)).toHaveLength(1);
});

test("every package that layers.json names is a dependency, and every dependency has its place there", () => {
  const { packages } = JSON.parse(readFileSync(path.join(repository, "layers.json"), "utf8"));
  const manifest = JSON.parse(readFileSync(path.join(repository, "package.json"), "utf8"));
  const dependencies = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies };
  expect(Object.keys(packages).sort()).toEqual(Object.keys(dependencies).sort());
});

test("a module whose name is computed is refused outside the composition root", () => {
  const [first] = violationsOf(API_FILE, "export const load = (name: string) => import(name);");
  expect(first?.what).toBe("imports a computed module");
});

test("code that is made from text is refused everywhere", () => {
  expect(violationsOf("src/platform.ts", 'eval("1");')).toHaveLength(1);
  expect(violationsOf(API_FILE, 'export const f = new Function("return 1");')).toHaveLength(1);
});

test.each([
  "Date.now()",
  'Date["now"]()',
  "new Date()",
  "new Date",
  "new Date(2013, 0, 1)",
  "Date()",
  "[Date].map((clock) => clock.now())",
  "Math.random()",
  'Math["random"]()',
  "(({ random }) => random())(Math)",
  "performance.now()",
  "process.hrtime()",
  'Buffer.from("x")',
  "new TextEncoder()",
  "new TextDecoder()",
  "setTimeout(() => 1, 1)",
  'fetch("http://x")',
  "new Intl.NumberFormat()",
  "globalThis.process",
  "({ process })",
  "import.meta.url",
  '"a".localeCompare("b")',
  "new Date(0).getHours()",
])("a PURE file may not contain %s", (expression) => {
  expect(violationsOf(PURE_FILE, `\n\nexport const x: unknown = ${expression};`)[0]?.line).toBe(3);
  expect(violationsOf("src/monitoring/planted.ts", `export const x: unknown = ${expression};`)).toEqual([]);
});

test("a PURE file may use dates, numbers and names that only look like globals", () => {
  const text = `
    export interface Step { process(buffer: Uint8Array): void; readonly performance: number }
    export const x = (step: Step, date: Date): number =>
      new Date(date).getTime() + Date.UTC(2013, 0) + Math.floor(1.5) + step.performance + { fetch: 1 }.fetch;
    // Date.now() and process.env in a comment, "Math.random()" in a string
    export const y = date instanceof Date ? "Math.random()" : date;
    declare const date: unknown;
  `;
  expect(violationsOf(PURE_FILE, text)).toEqual([]);
});

test("types may not come past the check through a reference comment", () => {
  expect(violationsOf(PURE_FILE, '/// <reference types="node" />\nexport {};')).toHaveLength(1);
});

test("a file in an undeclared folder is found", () => {
  expect(violationsOf("src/utils/planted.ts", "export {};")[0]?.what).toBe("is in no area");
  expect(violationsOf("src/planted.ts", "export {};")[0]?.what).toBe("is in no area");
  expect(violationsOf("src/feature_engineering/planted.ts", "export {};")[0]?.what).toBe("is in no area");
});

test("a file that cannot be parsed is found", () => {
  expect(violationsOf(API_FILE, "export const = ;")[0]?.what).toBe("cannot be parsed");
});

test("the command prints file, line, what and why, and exits with 1", () => {
  const planted = path.join(copy, PURE_FILE);
  mkdirSync(path.dirname(planted), { recursive: true });
  writeFileSync(planted, '\nimport "node:fs";\n');
  const script = path.join(repository, "scripts", "check-layers.ts");
  const { status, stderr } = spawnSync(process.execPath, [script, copy], { encoding: "utf8" });
  rmSync(planted);
  expect(stderr).toContain(`${PURE_FILE}:2 imports node:fs: feature_engineering (PURE) may import no Node built-in`);
  expect(status).toBe(1);
});
