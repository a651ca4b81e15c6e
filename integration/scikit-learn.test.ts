import { beforeAll, describe, expect, test } from "vitest";
import { compareWithScikitLearn, type TransformParity } from "../benchmarks/transform-parity.ts";

/** What may differ, in units in the last place of a column's largest number; see docs/transforms.md for why. */
const BOUNDS: Readonly<Record<string, { state: number; rows: number; rowsOfItsState: number; trainingRows?: number }>> =
  {
    standardize: { state: 32, rows: 16, rowsOfItsState: 0 },
    impute: { state: 32, rows: 32, rowsOfItsState: 0 },
    min_max: { state: 0, rows: 0, rowsOfItsState: 0 },
    max_abs: { state: 0, rows: 0, rowsOfItsState: 0 },
    robust: { state: 8, rows: 8, rowsOfItsState: 0 },
    quantile: { state: 0, rows: 8, rowsOfItsState: 8 },
    "k_bins uniform": { state: 0, rows: 0, rowsOfItsState: 0 },
    "k_bins quantile": { state: 0, rows: 0, rowsOfItsState: 0 },
    "k_bins kmeans": { state: 4096, rows: 0, rowsOfItsState: 0 },
    impute_text: { state: 0, rows: 0, rowsOfItsState: 0 },
    one_hot: { state: 0, rows: 0, rowsOfItsState: 0 },
    one_hot_fitted: { state: 0, rows: 0, rowsOfItsState: 0 },
    ordinal: { state: 0, rows: 0, rowsOfItsState: 0 },
    target: { state: 32, rows: 32, rowsOfItsState: 0, trainingRows: 64 },
    hash_columns: { state: 0, rows: 0, rowsOfItsState: 0 },
  };

describe("the transforms and scikit-learn's own", () => {
  let results: Map<string, TransformParity>;

  beforeAll(async () => {
    results = new Map((await compareWithScikitLearn(120, 11)).map((result) => [result.transform, result]));
  });

  test.each(Object.keys(BOUNDS))("fit and make the same with %s", (transform) => {
    const result = results.get(transform)!;
    const bounds = BOUNDS[transform]!;
    expect(result.mismatches).toEqual([]);
    expect(result.cases - result.refused).toBeGreaterThan(5);
    expect(result.state.columnUlp, result.state.worst).toBeLessThanOrEqual(bounds.state);
    expect(result.rows.columnUlp, result.rows.worst).toBeLessThanOrEqual(bounds.rows);
    expect(result.rowsOfItsState.columnUlp, result.rowsOfItsState.worst).toBeLessThanOrEqual(bounds.rowsOfItsState);
    expect(result.trainingRows.columnUlp).toBeLessThanOrEqual(bounds.trainingRows ?? 0);
  });

  test.each(["power yeo_johnson", "power box_cox"])(
    "find an exponent as likely with %s, and transform alike",
    (name) => {
      const result = results.get(name)!;
      expect(result.mismatches).toEqual([]);
      expect(result.likelihoodLost).toBeLessThanOrEqual(1e-9);
      expect(result.rowsOfItsState.columnUlp, result.rowsOfItsState.worst).toBeLessThanOrEqual(256);
    },
  );
});
