import { describe, expect, it } from "vitest";
import { checkNode } from "../../src/cli/check-node.ts";

describe("checkNode", () => {
  it("refuses a Node that cannot read TypeScript, and says what to do", () => {
    expect(() => checkNode("20.20.2")).toThrow(/Node 24 or newer, this is Node 20\.20\.2: install/);
  });

  it("takes Node 24 and newer", () => {
    for (const version of ["24.0.0", "25.1.0", process.versions.node]) checkNode(version);
  });
});
