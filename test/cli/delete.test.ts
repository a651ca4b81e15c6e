import { describe, expect, it } from "vitest";
import { openProject } from "./open-project.ts";

describe("millrace delete", () => {
  it("erases an entity without a server, and through a running one", async () => {
    await using project = await openProject();
    await project.run(["replay"]);
    expect((await project.json(["get", "risk", "card_id=a"])).rows).toEqual([[2, 7.5, 2]]);
    const first = await project.json(["delete", "card", "card_id=a"]);
    expect(first).toMatchObject({ entity: "card", events: 3, values: 1, dead_letters: 0, pending: false });
    expect((await project.json(["get", "risk", "card_id=a"])).statuses).toEqual([
      ["NOT_FOUND", "NOT_FOUND", "NOT_FOUND"],
    ]);
    await project.serve();
    const second = await project.run(["delete", "card", "card_id=b"]);
    expect(second.code).toBe(0);
    expect(second.stdout).toContain("Erased: 1 events, 1 values, 1 dead letters");
    expect((await project.json(["dead-letters", "list"])).dead_letters).toEqual([]);
    const { reports } = await project.json(["check-consistency"]);
    expect(reports).toMatchObject([{ mismatches: 0, entities: 0 }]);
    const again = await project.json(["get", "risk", "card_id=b"]);
    expect(again.statuses[0]).toEqual(["NOT_FOUND", "NOT_FOUND", "NOT_FOUND"]);
    const wrong = await project.run(["delete", "card", "id=b"]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("ENTITY_KEY_INVALID")]);
    const unknown = await project.run(["delete", "nobody", "card_id=b"]);
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining("ENTITY_UNKNOWN")]);
  });
});
