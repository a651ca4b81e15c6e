import { describe, expect, it } from "vitest";
import { type Crash, runWithCrashes } from "./run-with-crashes.ts";

const at = (point: string, ...after: number[]): Crash[] => after.map((n) => ({ point, after: n }));

/** The whole of it, with 20 random moments, is `npm run accept -- crashes`. */
describe("a pipeline that is killed", () => {
  it("ends with the oracle's values after kills at every named point and at moments of a replay", async () => {
    const crashes = [
      ...at("before-commit", 7),
      ...at("after-commit", 5, 40),
      ...at("between-writes", 9),
      ...at("before-applied", 2),
      ...at("after-applied", 3),
      { milliseconds: 250 },
      { milliseconds: 60 },
    ];
    const run = await runWithCrashes(crashes);
    expect(run.examples).toEqual([]);
    expect(run.mismatches).toBe(0);
    expect(run.crashes).toBeGreaterThanOrEqual(6);
    expect(run.values).toBeGreaterThan(10_000);
  });

  it("would not without the recovery code", async () => {
    const run = await runWithCrashes(at("after-commit", 20, 40), "no-recovery");
    expect(run.mismatches).toBeGreaterThan(0);
  });
});
