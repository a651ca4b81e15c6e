import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const SOURCES = join(import.meta.dirname, "../../../src/feature_engineering/beam/host/src");
/** What would be feature logic: names of aggregations and transforms, and the arithmetic that they are made of. */
const LOGIC =
  /\b(mean|variance|stddev|quantiles?|top_?k|histogram|count_?distinct|last_?n|hyper_?log_?log|standardize|one_?hot|ordinal|log1p|min_?max|robust|Math\.(log|exp|pow|sqrt)|double|float|BigDecimal)\b/i;
const LARGEST_BYTES = 160_000;

test("the host has no feature logic in Java, and stays small", () => {
  const files = globSync("**/*.java", { cwd: SOURCES });
  expect(files.length).toBeGreaterThan(5);
  let size = 0;
  for (const file of files) {
    const text = readFileSync(join(SOURCES, file), "utf8");
    size += text.length;
    const logic = text.split("\n").filter((line) => LOGIC.test(line));
    expect(logic, file).toEqual([]);
  }
  expect(size).toBeLessThan(LARGEST_BYTES);
});
