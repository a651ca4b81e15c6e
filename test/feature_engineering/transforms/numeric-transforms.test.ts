import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NumericTransform, requestSource, t } from "../../../src/definitions/index.ts";
import type { Value } from "../../../src/definitions/value.ts";
import type { FittedState } from "../../../src/feature_engineering/transforms/fitted-state.ts";
import { compile, fitRow } from "./inputs.ts";

const request = requestSource({ x: t.float64().nullable() });
const of = NumericTransform.of(request.x);
type Numeric = typeof of;

const finite = (max: number): fc.Arbitrary<number> =>
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -max, max }).map((x) => x + 0);
const columnOf = (max: number): fc.Arbitrary<(number | null)[]> =>
  fc.array(fc.option(fc.oneof(finite(max), fc.integer({ min: -5, max: 5 }))), { maxLength: 30 });

interface Fitted {
  readonly state: FittedState;
  readonly apply: (x: Value) => Value;
}
async function fit(transform: object, column: readonly Value[]): Promise<Fitted> {
  const compiled = compile({ y: transform });
  const state = await fitRow(compiled, () => column.map((x) => [x]));
  const make = compiled.bind(state);
  return { state, apply: (x) => make([x])[0]! };
}
const near = (x: number): unknown => expect.closeTo(x, 12);
const learned = ({ state }: Fitted): unknown => Object.values(state.transforms)[0];

/** Every step that learns, with choices that behave differently. */
const STEPS: Readonly<Record<string, (of: Numeric) => object>> = {
  standardize: (of) => of.standardize(),
  "impute mean": (of) => of.impute("mean"),
  "impute median": (of) => of.impute("median"),
  "impute most_frequent": (of) => of.impute("most_frequent"),
  minMax: (of) => of.minMax({ range: [-2, 3] }),
  "minMax with clip": (of) => of.minMax({ clip: true }),
  maxAbs: (of) => of.maxAbs(),
  robust: (of) => of.robust({ percentiles: [10, 80] }),
  quantile: (of) => of.quantile({ quantiles: 10 }),
  "quantile to normal": (of) => of.quantile({ output: "normal" }),
  "power yeo_johnson": (of) => of.power(),
  "power box_cox": (of) => of.power({ method: "box_cox" }),
  "kBins uniform": (of) => of.kBins(4, { strategy: "uniform" }),
  "kBins quantile": (of) => of.kBins(4),
  "kBins quantile, linear": (of) => of.kBins(4, { quantileMethod: "linear" }),
  "kBins kmeans": (of) => of.kBins(4, { strategy: "kmeans" }),
};

describe.each(Object.entries(STEPS))("%s", (name, step) => {
  test("learns the same of the rows in any order, to the last bit", async () => {
    await fc.assert(
      fc.asyncProperty(columnOf(1e6), fc.integer(), async (column, seed) => {
        const shuffled = column
          .map((x, index) => ({ x, place: Math.sin(seed + index) }))
          .sort((a, b) => a.place - b.place)
          .map(({ x }) => x);
        expect((await fit(step(of), shuffled)).state).toEqual((await fit(step(of), column)).state);
      }),
    );
  });

  test("gives null or a finite number that is not −0, whatever it was fitted on, and refuses what overflows", async () => {
    await fc.assert(
      fc.asyncProperty(columnOf(Number.MAX_VALUE), fc.option(finite(Number.MAX_VALUE)), async (column, x) => {
        const fitted = await fit(step(of), column).catch((error: { code: string }) => error.code);
        if (typeof fitted === "string") {
          expect(fitted).toBe("FIT_OVERFLOW");
          return;
        }
        for (const value of [x, ...column]) {
          const y = fitted.apply(value);
          expect(y === null || (Number.isFinite(y) && !Object.is(y, -0))).toBe(true);
        }
      }),
    );
  });

  test("gives the same after its state went through JSON, and takes that state for its own", async () => {
    await fc.assert(
      fc.asyncProperty(columnOf(1e9), async (column) => {
        const compiled = compile({ y: step(of) });
        const state = await fitRow(compiled, () => column.map((x) => [x])).catch(() => null);
        fc.pre(state !== null);
        const again = compiled.bind(JSON.parse(JSON.stringify(state)) as FittedState);
        expect(column.map((x) => again([x]))).toEqual(column.map((x) => compiled.bind(state)([x])));
      }),
    );
  });

  test("does not fall where the number rises", async () => {
    await fc.assert(
      fc.asyncProperty(columnOf(1e4), async (column) => {
        const { apply } = await fit(step(of), column);
        const sorted = column.filter((x) => x !== null).sort((a, b) => a - b);
        const made = sorted.map(apply).filter((y) => y !== null) as number[];
        for (let i = 1; i < made.length; i++) {
          const tolerance = 1e-9 * Math.max(1, Math.abs(made[i]!));
          expect(made[i]!).toBeGreaterThanOrEqual(made[i - 1]! - tolerance);
        }
      }),
    );
  });

  test("leaves a null to the steps after it, unless it fills it", async () => {
    const { apply } = await fit(step(of), [1, 2, 2, null]);
    if (name.startsWith("impute")) expect(apply(null)).toBe(name === "impute mean" ? 5 / 3 : 2);
    else expect(apply(null)).toBeNull();
  });
});

describe("numbers that were fitted on", () => {
  test("land where each transform says", async () => {
    const column = [2, 4, 4, 4, 5, 5, 7, 9];
    const made = async (transform: object, ...xs: number[]): Promise<Value[]> =>
      xs.map((await fit(transform, column)).apply);
    expect(await made(of.minMax(), 2, 9, 5.5, 16)).toEqual([0, near(1), 0.5, near(2)]);
    expect(await made(of.minMax({ clip: true }), 1, 16)).toEqual([0, 1]);
    expect(await made(of.maxAbs(), 9, -18)).toEqual([1, -2]);
    expect(await made(of.maxAbs({ clip: true }), -18)).toEqual([-1]);
    // Median 4.5, quartiles 4 and 5.5.
    expect(await made(of.robust(), 4.5, 6)).toEqual([0, 1]);
    expect(await made(of.robust({ center: false, scale: false }), 6)).toEqual([6]);
    expect(await made(of.quantile({ quantiles: 8 }), 2, 9, 7, -1, 100)).toEqual([0, 1, 6 / 7, 0, 1]);
    expect(await made(of.kBins(2, { strategy: "uniform" }), 2, 5.4, 5.5, 100)).toEqual([0, 0, 1, 1]);
    const [half] = await made(of.quantile({ quantiles: 8, output: "normal" }), 4.5);
    expect(half).toEqual(near(0));
  });

  test("spread as their range: uniform ranks lie in [0, 1], bins below their number, clipped ones in the range", async () => {
    await fc.assert(
      fc.asyncProperty(columnOf(1e9), finite(1e12), async (column, x) => {
        const rank = (await fit(of.quantile({ quantiles: 5 }), column)).apply(x) as number;
        expect(rank >= 0 && rank <= 1).toBe(true);
        for (const strategy of ["uniform", "quantile", "kmeans"] as const) {
          const bin = (await fit(of.kBins(3, { strategy }), column)).apply(x) as number;
          expect([0, 1, 2]).toContain(bin);
        }
        const clipped = (await fit(of.minMax({ range: [5, 6], clip: true }), column)).apply(x) as number;
        expect(clipped >= 5 && clipped <= 6).toBe(true);
      }),
      // A rank that rounds to less than 0 without a bound.
      { examples: [[[null, null, 1.4523308197179992e-126, 0], 5e-324]] },
    );
  });

  test("of a constant column change by no more than a shift, as in scikit-learn", async () => {
    const column = [3, 3, null, 3];
    const made = async (transform: object): Promise<Value[]> => [3, 4].map((await fit(transform, column)).apply);
    expect(await made(of.minMax())).toEqual([0, 1]);
    expect(await made(of.robust())).toEqual([0, 1]);
    expect(await made(of.standardize())).toEqual([0, 1]);
    expect(await made(of.quantile())).toEqual([0, 1]);
    expect(await made(of.power())).toEqual([0, near(1)]);
    expect(await made(of.kBins(3))).toEqual([0, 0]);
    const zero = await fit(of.maxAbs(), [0, 0]);
    expect([0, 4].map(zero.apply)).toEqual([0, 4]);
  });

  test("of no column at all are left as they are, ranked in the middle, put into the first bin, or 0 for a null", async () => {
    for (const column of [[], [null, null]]) {
      const made = async (transform: object, x: Value): Promise<Value> => (await fit(transform, column)).apply(x);
      expect(await made(of.minMax(), 7)).toBe(7);
      expect(await made(of.maxAbs(), 7)).toBe(7);
      expect(await made(of.robust(), 7)).toBe(7);
      expect(await made(of.standardize(), 7)).toBe(7);
      expect(await made(of.power(), 7)).toEqual(near(7));
      expect(await made(of.power({ method: "box_cox" }), 7)).toEqual(near(6));
      expect(await made(of.quantile(), 7)).toBe(0.5);
      expect(await made(of.quantile({ output: "normal" }), 7)).toBe(0);
      expect(await made(of.kBins(3), 7)).toBe(0);
      for (const strategy of ["mean", "median", "most_frequent"] as const) {
        expect(await made(of.impute(strategy), null)).toBe(0);
      }
    }
  });

  test("reach no Box-Cox from 0 down: null, and nothing is learned of them", async () => {
    const transform = of.power({ method: "box_cox" });
    const fitted = await fit(transform, [1, 2, 5, -1, 0]);
    expect([fitted.apply(0), fitted.apply(-3)]).toEqual([null, null]);
    expect(learned(fitted)).toEqual(learned(await fit(transform, [1, 2, 5])));
  });

  test("of one-hot bins fill one column of as many as were declared, none for null", async () => {
    const compiled = compile({ y: of.kBins(4, { encode: "one_hot" }) });
    expect(compiled.columns.map(({ name }) => name)).toEqual(["y_0", "y_1", "y_2", "y_3"]);
    const make = compiled.bind(await fitRow(compiled, () => [0, 0, 0, 1, 2].map((x) => [x])));
    for (const x of [-1, 0, 1, 1.5, 2, 3]) expect((make([x]) as number[]).reduce((sum, y) => sum + y)).toBe(1);
    expect(make([null])).toEqual([0, 0, 0, 0]);
  });
});

describe("declarations that make no sense", () => {
  test.each<[string, () => unknown]>([
    ["an imputation of another kind", () => of.impute("mode" as never)],
    ["a range upside down", () => of.minMax({ range: [1, 1] })],
    ["a range without an end", () => of.minMax({ range: [0, Number.POSITIVE_INFINITY] })],
    ["percentiles upside down", () => of.robust({ percentiles: [75, 25] })],
    ["a percentile above 100", () => of.robust({ percentiles: [25, 101] })],
    ["unit variance of all of a normal distribution", () => of.robust({ percentiles: [0, 100], unitVariance: true })],
    ["no quantile", () => of.quantile({ quantiles: 0 })],
    ["another distribution", () => of.quantile({ output: "gauss" as never })],
    ["another power", () => of.power({ method: "box-cox" as never })],
    ["one bin", () => of.kBins(1)],
    ["half a bin", () => of.kBins(2.5)],
    ["another strategy", () => of.kBins(2, { strategy: "even" as never })],
    ["another encoding", () => of.kBins(2, { encode: "onehot" as never })],
  ])("are refused: %s", (_, declare) => {
    expect(declare).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
  });
});
