import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CategoricalTransform, label, NumericTransform, requestSource, t } from "../../../src/definitions/index.ts";
import type { Value } from "../../../src/definitions/value.ts";
import type { CompiledRow } from "../../../src/feature_engineering/transforms/compile-row.ts";
import { type Fitter, fitRows } from "../../../src/feature_engineering/transforms/fitter.ts";
import { compile } from "./inputs.ts";

const request = requestSource({ text: t.string().nullable() });
const of = CategoricalTransform.of(request.text);
const amount = label("amount", t.float64().nullable());
const fraud = label("fraud", t.bool());
const outcome = label("outcome", t.oneOf("paid", "late", "lost"));

interface Row {
  readonly text: string | null;
  readonly y: Value;
}
function fit(compiled: CompiledRow, rows: readonly Row[]): Promise<Fitter> {
  return fitRows(compiled, () => rows.map(({ text, y }) => ({ inputs: [text], labels: [y] })));
}
const rowsOf = fc.array(
  fc.record({
    text: fc.option(fc.constantFrom("a", "b", "c", "d")),
    y: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }).map((y) => y + 0)),
  }),
  { maxLength: 40 },
);

/** By the book, from the rows that may be read: the mean, drawn towards the mean of all. */
function oracle(rows: readonly Row[], text: string | null, smooth: number): number {
  const labels = rows.filter(({ y }) => y !== null);
  const sum = (list: readonly Row[]): number => list.reduce((total, { y }) => total + Number(y), 0);
  const all = labels.length === 0 ? 0 : sum(labels) / labels.length;
  const own = text === null ? [] : labels.filter((row) => row.text === text);
  return own.length === 0 ? all : (sum(own) + smooth * all) / (own.length + smooth);
}

describe("target", () => {
  test("is the mean label of the category, drawn towards the mean of all, which unknown categories get", async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, fc.constantFrom(0, 1, 10), async (rows, smooth) => {
        const compiled = compile({ y: of.target(amount, { smooth }) });
        const make = compiled.bind((await fit(compiled, rows)).finish());
        for (const text of ["a", "b", "c", "d", "never"]) {
          const expected = oracle(rows, text, smooth);
          expect(Math.abs((make([text])[0] as number) - expected)).toBeLessThanOrEqual(1e-12 * 1e9);
        }
        expect(make([null])).toEqual([null]);
      }),
    );
  });

  test("gives a row of the training set what the rows of the other folds say", async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, fc.integer({ min: 2, max: 7 }), async (rows, folds) => {
        const compiled = compile({ y: of.target(amount, { smooth: 1, folds }) });
        const make = (await fit(compiled, rows)).trainingRows();
        for (const [index, { text }] of rows.entries()) {
          const others = rows.filter((_, other) => other % folds !== index % folds);
          const [y] = make([text], index);
          if (text === null) expect(y).toBeNull();
          else expect(Math.abs((y as number) - oracle(others, text, 1))).toBeLessThanOrEqual(1e-3);
        }
      }),
    );
  });

  test("does not let a row's own label reach its features: changing it changes nothing of that row", async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, fc.nat(), fc.double({ min: -1, max: 1, noNaN: true }), async (rows, at, other) => {
        fc.pre(rows.length > 0);
        const index = at % rows.length;
        const compiled = compile({ y: of.target(amount), z: of.target(amount, { nulls: "category", smooth: 3 }) });
        const changed = rows.map((row, i) => (i === index ? { ...row, y: other } : row));
        const before = (await fit(compiled, rows)).trainingRows()([rows[index]!.text], index);
        const after = (await fit(compiled, changed)).trainingRows()([rows[index]!.text], index);
        expect(after).toEqual(before);
      }),
    );
  });

  test("is fitted independently of the order of the rows, to the last bit", async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, async (rows) => {
        const compiled = compile({ y: of.target(amount) });
        const state = (await fit(compiled, rows)).finish();
        expect((await fit(compiled, rows.toReversed())).finish()).toEqual(state);
      }),
    );
  });

  test("counts a bool as 0 and 1, and makes a column per text of a label of listed texts", async () => {
    const compiled = compile({ f: of.target(fraud, { smooth: 0 }) });
    const rows = [
      { text: "a", y: true },
      { text: "a", y: false },
      { text: "b", y: true },
    ];
    const make = compiled.bind((await fit(compiled, rows)).finish());
    expect([make(["a"]), make(["b"]), make(["new"])]).toEqual([[0.5], [1], [2 / 3]]);

    const several = compile({ o: of.target(outcome, { smooth: 0 }) });
    expect(several.columns.map(({ name }) => name)).toEqual(["o_paid", "o_late", "o_lost"]);
    const outcomes = [
      { text: "a", y: "paid" },
      { text: "a", y: "lost" },
      { text: "b", y: "late" },
    ];
    const read = several.bind((await fit(several, outcomes)).finish());
    expect([read(["a"]), read(["b"])]).toEqual([
      [0.5, 0, 0.5],
      [0, 1, 0],
    ]);
    expect(read(["new"])).toEqual([1 / 3, 1 / 3, 1 / 3]);
    expect(read([null])).toEqual([null, null, null]);
  });

  test("lets what reads it learn from what the training set's rows get", async () => {
    const compiled = compile({ z: NumericTransform.of(of.target(amount, { smooth: 1, folds: 2 })).standardize() });
    expect(compiled.passes).toBe(2);
    const rows = ["a", "a", "b", "b", "a", "b"].map((text, index) => ({ text, y: index * index }));
    const make = (await fit(compiled, rows)).trainingRows();
    const columns = rows.map(({ text }, index) => make([text], index)[0] as number);
    expect(columns.reduce((sum, x) => sum + x, 0)).toBeCloseTo(0, 12);
    expect(columns.reduce((sum, x) => sum + x * x, 0) / rows.length).toBeCloseTo(1, 12);
  });

  test("gives 0 where no row has a label", async () => {
    const compiled = compile({ y: of.target(amount) });
    const fitter = await fit(compiled, [{ text: "a", y: null }]);
    expect(compiled.bind(fitter.finish())(["a"])).toEqual([0]);
    expect(fitter.trainingRows()(["a"], 0)).toEqual([0]);
  });

  test("refuses labels whose mean overflows, one name for two types, and a label that comes with requests", async () => {
    const compiled = compile({ y: of.target(amount) });
    const rows = [1.7e308, 1.7e308].map((y) => ({ text: "a", y }));
    await expect(fit(compiled, rows)).rejects.toMatchObject({ code: "FIT_OVERFLOW" });
    const refused = expect.objectContaining({ code: "DEFINITION_INVALID" });
    expect(() => compile({ y: of.target(amount), z: of.target(label("amount", t.bool())) })).toThrow(refused);
    expect(() => compile({ y: of.target(label("text", t.bool())) })).toThrow(refused);
    expect(() => label("words", t.list(t.string()) as never)).toThrow(refused);
  });
});
