import { describe, expect, it } from "vitest";
import { packModel, packNow } from "../../../src/api/models/pack-model.ts";
import { loadXgboostModel } from "../../../src/api/models/xgboost-model.ts";
import { codeOf } from "./fixtures.ts";
import { modelFiles } from "./write-model.ts";

const bytesOf = (trees: number): Uint8Array =>
  new TextEncoder().encode(
    modelFiles({ answer: 3, features: ["a", "b"], ballast: { trees, depth: 6 } })["model.json"]!,
  );
const XGBOOST = { flavor: "xgboost", iterations: "all" } as const;

describe("a large model", () => {
  it("is packed by another thread as it is by this one, while this one goes on", async () => {
    const bytes = bytesOf(200);
    const here = packNow(XGBOOST, bytes);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const there = await packModel(XGBOOST, bytes.slice());
    clearInterval(timer);
    expect(there).toEqual(here);
    expect(there.ensemble.values.buffer).toBe(there.ensemble.nodes.buffer);
    expect(turns).toBeGreaterThan(0);
    expect(loadXgboostModel(there).predictRow([1, 2])).toEqual([3]);
  });

  it("that is damaged gives the error that it gives here", async () => {
    const bytes = bytesOf(200).slice(0, 200_000);
    expect(await codeOf(() => packModel(XGBOOST, bytes))).toBe("MODEL_CORRUPT");
    const text = new TextEncoder().encode("tree\nversion=v4\n".padEnd(100_000, " "));
    expect(await codeOf(() => packModel({ flavor: "lightgbm" }, text))).toBe("MODEL_CORRUPT");
  });
});
