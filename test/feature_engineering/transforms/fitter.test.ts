import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CategoricalTransform, derive, NumericTransform, requestSource, t } from "../../../src/definitions/index.ts";
import type { Value } from "../../../src/definitions/value.ts";
import type { CompiledRow } from "../../../src/feature_engineering/transforms/compile-row.ts";
import { type FittedState, readFittedState } from "../../../src/feature_engineering/transforms/fitted-state.ts";
import { createFitter } from "../../../src/feature_engineering/transforms/fitter.ts";
import { compile, fitRow, inputsOf } from "./inputs.ts";

const request = requestSource({
  x: t.float64().nullable(),
  text: t.string().nullable(),
  other: t.float64().nullable(),
});
const of = NumericTransform.of(request.x);
const standardized = (): CompiledRow => compile({ y: of.standardize() });
const ordinal = (): CompiledRow => compile({ y: CategoricalTransform.of(request.text).ordinal() });

/** Fits on values of one request column and applies to others. */
async function fitAndApply(compiled: CompiledRow, fit: readonly Value[], apply: readonly Value[]): Promise<Value[]> {
  const transform = compiled.bind(await fitRow(compiled, () => fit.map((value) => [value])));
  return apply.map((value) => transform([value])[0]!);
}

const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e150, max: 1e150 }).map((x) => x + 0);

describe("standardize", () => {
  test("subtracts the mean and divides by the population's standard deviation", async () => {
    // Mean 5, population variance 4.
    expect(await fitAndApply(standardized(), [2, 4, 4, 4, 5, 5, 7, 9, null], [5, 7, 3, null])).toEqual([
      0,
      1,
      -1,
      null,
    ]);
  });

  test("divides by 1 where all values are equal, or there is one, and changes nothing where there is none", async () => {
    expect(await fitAndApply(standardized(), [0.5, 0.5, 0.5], [0.5, 1.5])).toEqual([0, 1]);
    expect(await fitAndApply(standardized(), [3], [3, 4])).toEqual([0, 1]);
    expect(await fitAndApply(standardized(), [null], [3, null])).toEqual([3, null]);
  });

  test("is fitted on what the steps before it make", async () => {
    const compiled = compile({ y: of.fillNull(4).clip(0, 4).standardize() });
    // 0 and 4: mean 2, standard deviation 2.
    expect(await fitAndApply(compiled, [-5, 99], [null, 0, 2])).toEqual([1, -1, 0]);
  });

  test("does not depend on the order of the rows", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(finite, { minLength: 1 }), fc.integer(), async (values, seed) => {
        const shuffled = [...values].sort((a, b) => Math.sin(a + seed) - Math.sin(b + seed));
        const fit = (list: readonly number[]): Promise<FittedState> =>
          fitRow(standardized(), () => list.map((value) => [value]));
        expect(await fit(shuffled)).toEqual(await fit(values));
      }),
    );
  });

  test("gives null or a finite number that is not −0, whatever it was fitted on", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(finite, { maxLength: 5 }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        async (values, x) => {
          const [y] = await fitAndApply(standardized(), values, [x + 0]);
          expect(y === null || (Number.isFinite(y) && !Object.is(y, -0))).toBe(true);
        },
      ),
    );
  });

  test("gives 0, not −0, for what is too small beside the standard deviation", async () => {
    const [y] = await fitAndApply(standardized(), [-1e150, 1e150], [-1e-300]);
    expect(Object.is(y, 0)).toBe(true);
  });

  test("refuses values whose mean overflows", async () => {
    await expect(fitRow(standardized(), () => [[1.7e308], [1.7e308]])).rejects.toMatchObject({
      code: "FIT_OVERFLOW",
      message: expect.stringContaining("'y'"),
    });
  });
});

describe("ordinal without a list", () => {
  test("learns the distinct texts, sorted by code units; unknown ones are −1", async () => {
    const values = ["b", "a", null, "Z", "b", "é", "\u{1f600}", "\uffff"];
    expect(await fitAndApply(ordinal(), values, ["Z", "a", "b", "é", "\u{1f600}", "\uffff", "new", null])).toEqual([
      0,
      1,
      2,
      3,
      4,
      5,
      -1,
      null,
    ]);
  });
});

describe("chains of fitted transforms", () => {
  const chain = (): CompiledRow =>
    compile({
      y: of.standardize().clip(-1, 1).standardize(),
      z: NumericTransform.of(
        derive({ s: of.standardize() }, t.float64().nullable(), ({ s }) => s && s * s),
      ).standardize(),
      plain: of.standardize(),
    });

  test("take a pass per level", async () => {
    const compiled = chain();
    expect(compiled.passes).toBe(2);
    expect(compiled.fits.map(({ id, pass }) => [id, pass])).toEqual([
      ["y:0", 1],
      ["y:2", 2],
      ["z//s:0", 1],
      ["z:0", 2],
      ["plain:0", 1],
    ]);
    let calls = 0;
    const rows = [[0], [2], [10]];
    const state = await fitRow(compiled, async function* () {
      calls++;
      yield* rows;
    });
    expect(calls).toBe(2);
    const transformed = rows.map(compiled.bind(state));
    for (let column = 0; column < 3; column++) {
      const mean = transformed.reduce((total, row) => total + (row[column] as number), 0) / rows.length;
      expect(mean).toBeCloseTo(0, 12);
    }
  });

  test("are not finished before their passes are", () => {
    const fitter = createFitter(chain());
    fitter.add([1]);
    expect(() => fitter.finish()).toThrow(expect.objectContaining({ code: "FIT_INCOMPLETE" }));
    expect(fitter.endPass()).toBe(true);
    expect(() => fitter.finish()).toThrow(expect.objectContaining({ code: "FIT_INCOMPLETE" }));
    fitter.add([1]);
    expect(fitter.endPass()).toBe(false);
    expect(Object.keys(fitter.finish().transforms)).toHaveLength(5);
  });

  test("a service with nothing to fit reads no rows", async () => {
    const compiled = compile({ x: request.x });
    const state = await fitRow(compiled, () => {
      throw new RangeError("rows were read");
    });
    expect(state).toEqual({ service: "tested", service_hash: compiled.hash, transforms: {} });
    expect(compiled.bind(state)([1])).toEqual([1]);
  });
});

describe("fitted state", () => {
  const mixed = (): CompiledRow =>
    compile({
      x: of.log1p().standardize(),
      text: CategoricalTransform.of(request.text).ordinal(),
      ratio: NumericTransform.of(
        derive({ x: of.standardize(), other: request.other }, t.float64().nullable(), ({ x, other }) =>
          x === null || !other ? null : x / other,
        ),
      ).standardize(),
    });
  const rows = fc.array(fc.record({ x: fc.option(finite), text: fc.option(fc.string()), other: fc.option(finite) }), {
    maxLength: 20,
  });

  test("gives the same rows after a round trip through JSON", async () => {
    await fc.assert(
      fc.asyncProperty(rows, async (values) => {
        const compiled = mixed();
        const inputs = values.map((row) => inputsOf(compiled, row));
        const state = await fitRow(compiled, () => inputs).catch((error: { code: string }) => error.code);
        if (typeof state === "string") {
          expect(state).toBe("FIT_OVERFLOW");
          return;
        }
        const again = readFittedState(JSON.parse(JSON.stringify(state)), {
          name: "tested",
          hash: compiled.hash,
          fits: compiled.fits,
        });
        expect(again).toEqual(state);
        expect(inputs.map(mixed().bind(again))).toEqual(inputs.map(compiled.bind(state)));
      }),
    );
  });

  test("is needed: rows of an unfitted service are refused, naming the features", () => {
    expect(() => mixed().bind(null)).toThrow(
      expect.objectContaining({ code: "NOT_FITTED", message: expect.stringContaining("'x', 'text', 'ratio'") }),
    );
  });

  // biome-ignore lint/suspicious/noExplicitAny: each changes the state to something that it cannot be
  test.each<[string, (state: any) => unknown]>([
    ["nothing", () => undefined],
    ["no object", () => []],
    ["no hash", ({ service }) => ({ service })],
    ["another service's", (state) => ({ ...state, service: "other" })],
    ["another version's", (state) => ({ ...state, service_hash: "0".repeat(32) })],
    ["without transforms", ({ transforms: _, ...state }) => state],
    ["without one of them", (state) => ({ ...state, transforms: { ...state.transforms, "x:1": undefined } })],
    [
      "of another kind",
      (state) => ({ ...state, transforms: { ...state.transforms, "x:1": state.transforms["text:0"] } }),
    ],
    [
      "with a stddev of 0",
      (state) => ({
        ...state,
        transforms: { ...state.transforms, "x:1": { kind: "standardize", mean: 0, stddev: 0 } },
      }),
    ],
    [
      "with a mean that is no number",
      (state) => ({
        ...state,
        transforms: { ...state.transforms, "x:1": { kind: "standardize", mean: null, stddev: 1 } },
      }),
    ],
    [
      "with categories that are no texts",
      (state) => ({ ...state, transforms: { ...state.transforms, "text:0": { kind: "ordinal", categories: [1] } } }),
    ],
  ])("that is %s is refused", async (_, change) => {
    const compiled = mixed();
    const state = await fitRow(compiled, () => [inputsOf(compiled, { x: 1, text: "a", other: 1 })]);
    expect(() => compiled.bind(state)).not.toThrow();
    expect(() => compiled.bind((change(structuredClone(state)) ?? undefined) as FittedState)).toThrow(
      expect.objectContaining({ code: "FITTED_STATE_MISMATCH", message: expect.stringContaining("'tested'") }),
    );
  });
});
