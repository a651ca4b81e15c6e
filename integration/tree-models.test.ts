import { describe, expect, test } from "vitest";
import { compareTreeModels, TREE_LIBRARIES } from "../benchmarks/tree-parity.ts";

describe("random tree models and the libraries that trained them", () => {
  test.each(TREE_LIBRARIES)(
    "$name $version: sums are bit-equal, predictions within one unit of a float32",
    async (library) => {
      const parity = await compareTreeModels(library, 20, 11);
      expect(parity.models).toBe(20);
      expect(parity.rows).toBeGreaterThan(4_000);
      expect(parity.traits.get("categorical splits")).toBeGreaterThan(2);
      expect(parity.marginsUnequal).toBe(0);
      expect(parity.maxFloatUlps, parity.differing.join()).toBeLessThanOrEqual(1);
    },
  );
});
