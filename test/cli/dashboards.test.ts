import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { monitoringFiles } from "../../scripts/monitoring-files.ts";
import { dashboards } from "../../src/cli/commands/dashboards.ts";

let out = "";
beforeEach(async () => {
  out = await mkdtemp(path.join(tmpdir(), "millrace-dashboards-"));
  vi.spyOn(process.stdout, "write").mockReturnValue(true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(out, { recursive: true, force: true });
});

const written = (file: string): Promise<string> => readFile(path.join(out, file), "utf8");

it("writes every dashboard, rule and provisioning file", async () => {
  await dashboards({ config: "", out });
  for (const [file, text] of monitoringFiles()) expect(await written(file)).toBe(text);
});

it("lets alerts point to where the runbooks are", async () => {
  await dashboards({ config: "", out, runbooks: "https://wiki.example/runbooks/" });
  const rules = await written("prometheus/millrace-rules.yml");
  expect(rules).toContain("runbook_url: https://wiki.example/runbooks/MillraceDown.md");
  expect(rules).not.toContain("docs/runbooks");
});

it("refuses an address of runbooks that is none", async () => {
  await expect(dashboards({ config: "", out, runbooks: "wiki" })).rejects.toMatchObject({ code: "OPTION_INVALID" });
});

it("says which file cannot be written, where the folder is a file", async () => {
  await writeFile(path.join(out, "file"), "");
  await expect(dashboards({ config: "", out: path.join(out, "file") })).rejects.toMatchObject({
    code: "FILE_UNWRITABLE",
    kind: "user",
  });
});
