import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadDeclarations } from "../../src/config/load-declarations.ts";

const INDEX = fileURLToPath(new URL("../../src/index.ts", import.meta.url));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-declarations-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The message with which declarations of these lines are refused. */
async function refusal(name: string, lines: readonly string[]): Promise<string> {
  const path = join(folder, name);
  writeFileSync(path, [`import * as m from ${JSON.stringify(INDEX)};`, ...lines, ""].join("\n"));
  const error = await loadDeclarations([path]).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ code: "DECLARATIONS_INVALID", kind: "user" });
  return (error as Error).message;
}

it("says in which line of the module a declaration was given what it cannot take", async () => {
  const lines = ["", "const card = undefined;", 'export const v = m.featureView("v", { entity: card, features: {} });'];
  const message = await refusal("wrong.ts", lines);
  expect(message).toContain("wrong.ts (line 4) cannot be loaded");
  expect(message).toContain("npx tsc --noEmit");
});

it("gives the code and the line of a declaration that is refused", async () => {
  const message = await refusal("refused.ts", ["", 'export const card = m.entity("No Name", { id: m.t.string() });']);
  expect(message).toContain("refused.ts (line 3) cannot be loaded: NAME_INVALID: ");
  expect(message).not.toContain("npx tsc");
});

it("names the module that has a mistake of syntax, or exports nothing", async () => {
  expect(await refusal("syntax.ts", ["export const = 5;"])).toContain("syntax.ts");
  expect(await refusal("empty.ts", ["m;"])).toContain("exports nothing");
});
