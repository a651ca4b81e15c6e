import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openProject } from "./open-project.ts";

describe("millrace registry", () => {
  it("shows what is declared, who reads what, and what changed", async () => {
    await using project = await openProject();
    await project.run(["apply"]);
    const features = join(project.folder, "features.ts");
    await writeFile(features, (await readFile(features, "utf8")).replace('count().over("1h")', 'count().over("2h")'));
    await project.run(["apply"]);
    const list = await project.run(["registry", "list", "--owner", "fraud team"]);
    expect([list.code, list.stderr]).toEqual([0, ""]);
    expect(list.stdout).toMatch(/entity +card +fraud team +pii=yes/);
    expect(list.stdout).not.toContain("payments");
    const { entries } = await project.json(["registry", "search", "spend", "--kind", "view"]);
    expect(entries).toMatchObject([{ name: "activity", found: ["feature:spend"] }]);
    expect((await project.json(["registry", "show", "activity", "--at", "1"])).entry.features[1].window_ms).toBe(
      3_600_000,
    );
    const lineage = await project.run(["registry", "lineage", "payments", "amount"]);
    expect(lineage.stdout).toMatch(/activity\.spend +payments\.amount/);
    expect(lineage.stdout).toMatch(/risk\.spend +payments\.amount/);
    expect((await project.json(["registry", "history"])).versions).toMatchObject([{ version: 1 }, { version: 2 }]);
    const diff = await project.run(["registry", "diff", "1"]);
    expect(diff.stdout).toContain("activity");
    expect(diff.stdout).toContain("7200000");
    const unknown = await project.run(["registry", "show", "nothing"]);
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining("ENTRY_UNKNOWN")]);
  });
});
