import { expect, it } from "vitest";
import { modelUpdates } from "../benchmarks/model-updates.ts";

it("exchanges versions that a real MLflow announces, broken ones among them, without a failed or wrong answer", async () => {
  const result = await modelUpdates({
    updates: 6,
    broken: 3,
    ballast: { trees: 20, depth: 4 },
    perSecond: 200,
    watchMs: 100,
    seed: 3,
  });
  expect(result).toMatchObject({ failed: 0, failures: [], wrongVersion: 0, wrongValue: 0, versionsThatAnswered: 4 });
  expect(result.requests).toBeGreaterThan(200);
  expect(Object.values(result.refused).reduce((sum, times) => sum + times, 0)).toBe(3);
});
