import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openProject } from "./open-project.ts";

describe("millrace backfill and materialize", () => {
  it("load files into history and bring values up to date, without a server and through a running one", async () => {
    await using project = await openProject();
    await project.run(["replay"]);
    const older = (id: string, minute: number): string =>
      `${JSON.stringify({ id, card_id: "a", amount: 100, at: new Date(Date.UTC(2026, 0, 1, 1, minute)).toISOString() })}\n`;
    await writeFile(join(project.folder, "older.jsonl"), older("x", 0) + older("y", 1));
    const files = ["backfill", "--source", "payments", "--files", "older.jsonl"];
    const first = await project.json(files);
    expect(first).toMatchObject({ state: "done", loaded: 2, views: [{ view: "activity", entities: 2, written: 1 }] });
    expect((await project.json(["get", "risk", "card_id=a"])).rows).toEqual([[4, 207.5, 2]]);
    await writeFile(join(project.folder, "more.jsonl"), older("z", 2));
    await project.serve();
    const second = await project.json(["backfill", "--source", "payments", "--files", "more.jsonl"]);
    expect(second).toMatchObject({ state: "done", loaded: 1 });
    expect((await project.json(["get", "risk", "card_id=a"])).rows).toEqual([[5, 307.5, 2]]);
    const materialized = await project.run(["materialize", "activity"]);
    expect([materialized.code, materialized.stdout]).toEqual([0, expect.stringMatching(/activity +2 +0 +2/)]);
    const again = await project.run(files);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining("already")]);
    const { reports } = await project.json(["check-consistency"]);
    expect(reports).toMatchObject([{ mismatches: 0, entities: 2 }]);
    expect((await project.run(["materialize", "nothing"])).stderr).toContain("VIEW_UNKNOWN");
    expect((await project.run(["backfill", "--files", "a.csv"])).stderr).toContain("--source");
  });
});
