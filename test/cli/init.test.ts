import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createProject, INDEX, type Project } from "./project.ts";

/** An empty folder in which the package `millrace` is installed. */
async function emptyFolder(packageJson?: object): Promise<Project> {
  const project = await createProject({
    "node_modules/millrace/package.json": JSON.stringify({ name: "millrace", type: "module", exports: "./index.js" }),
    "node_modules/millrace/index.js": `export * from ${JSON.stringify(INDEX)};\n`,
    ...(packageJson === undefined ? {} : { "package.json": JSON.stringify(packageJson) }),
  });
  await rm(join(project.folder, "millrace.config.ts"));
  return project;
}

const typeOf = async ({ folder }: Project): Promise<unknown> =>
  (JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { readonly type?: string }).type;

it("starts a project in a folder of `npm init`, which runs as it is", async () => {
  await using project = await emptyFolder({ name: "shop", type: "commonjs", main: "index.js", scripts: { test: "x" } });
  const { code, stdout } = await project.run(["init"]);
  expect(code).toBe(0);
  expect(stdout).toContain("Wrote millrace.config.ts, features.ts, tsconfig.json, .gitignore and package.json.");
  const written = JSON.parse(await readFile(join(project.folder, "package.json"), "utf8"));
  expect(written).toEqual({ name: "shop", type: "module", main: "index.js", scripts: { test: "x" } });

  const plan = await project.run(["plan", "--json"]);
  expect(plan.stderr).toBe("");
  expect(plan.stdout).toContain("card_activity");
  const again = await project.run(["init"]);
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining("FILE_EXISTS") });
});

it("makes a package.json where there is none", async () => {
  await using project = await emptyFolder();
  await project.run(["init"]);
  expect(await typeOf(project)).toBe("module");
});

it("leaves a package with CommonJS code as it is, and reads declarations there all the same", async () => {
  await using project = await emptyFolder({ name: "shop", type: "commonjs" });
  await project.write("index.js", "module.exports = 1;\n");
  await project.write(".gitignore", "mine\n");
  await project.write("sizes.cts", 'exports.limit = require("./index.js");\n');
  await project.run(["init"]);
  expect(await typeOf(project)).toBe("commonjs");
  expect(await readFile(join(project.folder, ".gitignore"), "utf8")).toBe("mine\n");

  const declarations = await readFile(join(project.folder, "features.ts"), "utf8");
  await mkdir(join(project.folder, "shared"));
  await project.write("shared/names.ts", 'export const name: string = "card_activity";\n');
  await project.write(
    "features.ts",
    `import { name } from "./shared/names.ts";\nimport sizes from "./sizes.cts";\nif (sizes.limit !== 1) throw sizes;\n${declarations.replace('"card_activity"', "name as 'card_activity'")}`,
  );
  const plan = await project.run(["plan", "--json"]);
  expect(plan.stderr).toBe("");
  expect(plan.stdout).toContain("card_activity");
});
