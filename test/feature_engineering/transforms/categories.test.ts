import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CategoricalTransform, requestSource, t } from "../../../src/definitions/index.ts";
import type { Value } from "../../../src/definitions/value.ts";
import { murmur3x32 } from "../../../src/feature_engineering/encoding/murmur3-32.ts";
import { compile, fitRow } from "./inputs.ts";

const request = requestSource({ text: t.string().nullable(), channel: t.oneOf("web", "app").nullable() });
const of = CategoricalTransform.of(request.text);

type Apply = (...values: Value[]) => Value[][];
async function fit(transform: object, column: readonly Value[]): Promise<Apply> {
  const compiled = compile({ y: transform });
  const make = compiled.bind(await fitRow(compiled, () => column.map((value) => [value])));
  return (...values) => values.map((value) => make([value]));
}
/** a 5 times, b 3 times, c and null twice, d and e once. */
const LETTERS = ["a", "a", "a", "a", "a", "b", "b", "b", "c", "c", "d", "e", null, null];
const flat = (rows: Value[][]): Value[] => rows.map((row) => row[0]!);
const texts = fc.array(fc.option(fc.constantFrom("a", "b", "c", "d", "é", "")), { maxLength: 30 });

describe("infrequent categories", () => {
  test("share the code after the others: those in too few rows, by count or by share of all rows", async () => {
    for (const minFrequency of [3, 0.2]) {
      const apply = await fit(of.ordinal({ minFrequency }), LETTERS);
      expect(flat(apply("a", "b", "c", "d", "e", "new", null))).toEqual([0, 1, 2, 2, 2, -1, null]);
    }
  });

  test("are the rarest beyond the most that there may be, of equally rare ones the first", async () => {
    const apply = await fit(of.ordinal({ maxCategories: 5 }), LETTERS);
    expect(flat(apply("a", "b", "c", "d", "e"))).toEqual([0, 1, 2, 4, 3]);
    const one = await fit(of.ordinal({ maxCategories: 1 }), LETTERS);
    expect(flat(one("a", "e", "new"))).toEqual([0, 0, -1]);
  });

  test("take unknown ones in where that is declared; without any they are −1", async () => {
    const some = await fit(of.ordinal({ minFrequency: 2, unknown: "infrequent" }), LETTERS);
    expect(flat(some("d", "new"))).toEqual([3, 3]);
    const none = await fit(of.ordinal({ minFrequency: 1, unknown: "infrequent" }), LETTERS);
    expect(flat(none("e", "new"))).toEqual([4, -1]);
  });

  test("of a declared list follow its order, and what is not in it is unknown", async () => {
    const apply = await fit(of.ordinal(["c", "b", "a"], { minFrequency: 3, unknown: 99 }), LETTERS);
    expect(flat(apply("b", "a", "c", "d", null))).toEqual([0, 1, 2, 99, null]);
  });
});

describe("unknown categories and nulls", () => {
  test("get the codes that are declared", async () => {
    const apply = await fit(of.ordinal({ unknown: null, nulls: -2 }), ["a"]);
    expect(flat(apply("a", "new", null))).toEqual([0, null, -2]);
    const category = await fit(of.ordinal({ nulls: "category" }), LETTERS);
    expect(flat(category("e", null))).toEqual([4, 5]);
    const declared = compile({ y: of.ordinal(["x", "y"], { nulls: "category", unknown: 7 }) });
    expect(["x", "y", null, "z"].map((value) => declared.bind(null)([value])[0])).toEqual([0, 1, 2, 7]);
  });

  test("are refused where that is declared, naming the feature and the value", async () => {
    for (const transform of [of.ordinal({ unknown: "error" }), of.oneHot({ maxCategories: 3, unknown: "error" })]) {
      const apply = await fit(transform, ["a", "b"]);
      expect(apply("a", null)).toHaveLength(2);
      expect(() => apply("new")).toThrow(
        expect.objectContaining({
          code: "CATEGORY_UNKNOWN",
          message: expect.stringContaining("'y' got the category \"new\""),
        }),
      );
    }
    const listed = compile({ y: of.oneHot(["a"], { unknown: "error" }) }).bind(null);
    expect(listed([null])).toEqual([0]);
    expect(() => listed(["b"])).toThrow(expect.objectContaining({ code: "CATEGORY_UNKNOWN" }));
  });

  test("have a column of their own in a one-hot of a list where nulls are a category", () => {
    const compiled = compile({ y: of.oneHot(["a", "b"], { nulls: "category" }) });
    expect(compiled.columns.map(({ name }) => name)).toEqual(["y_a", "y_b", "y_null"]);
    expect(["b", null, "c"].map((value) => compiled.bind(null)([value]))).toEqual([
      [0, 1, 0],
      [0, 0, 1],
      [0, 0, 0],
    ]);
  });
});

describe("a fitted one-hot", () => {
  test("has the declared number of columns: the most frequent categories, sorted, then the rest", async () => {
    const transform = of.oneHot({ maxCategories: 3, unknown: "infrequent" });
    expect(compile({ y: transform }).columns.map(({ name }) => name)).toEqual(["y_0", "y_1", "y_2"]);
    const apply = await fit(transform, LETTERS);
    expect(apply("a", "b", "c", "new", null)).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
      [0, 0, 1],
      [0, 0, 0],
    ]);
    const wide = await fit(of.oneHot({ maxCategories: 4 }), ["a"]);
    expect(wide("a", "new")).toEqual([
      [1, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
  });

  test("fills at most one column, and one for each category that it was fitted on", async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 1, max: 8 }), async (column, maxCategories) => {
        const apply = await fit(of.oneHot({ maxCategories, nulls: "category" }), column);
        for (const row of apply(...column)) expect(row.filter((x) => x === 1)).toHaveLength(1);
        expect(apply("never").flat()).toEqual(new Array(maxCategories).fill(0));
      }),
    );
  });
});

describe("frequency", () => {
  test("is the number of training rows, or their share among those counted; 0 for unknown ones", async () => {
    const counts = await fit(of.frequency(), LETTERS);
    expect(flat(counts("a", "e", "new", null))).toEqual([5, 1, 0, null]);
    const shares = await fit(of.frequency({ relative: true }), LETTERS);
    expect(flat(shares("a", "b"))).toEqual([5 / 12, 3 / 12]);
    const nulls = await fit(of.frequency({ relative: true, nulls: "category" }), LETTERS);
    expect(flat(nulls(null, "b"))).toEqual([2 / 14, 3 / 14]);
  });

  test("of the training rows adds up to 1, in any order of them", async () => {
    await fc.assert(
      fc.asyncProperty(texts, async (column) => {
        const apply = await fit(of.frequency({ relative: true, nulls: "category" }), column);
        const turned = await fit(of.frequency({ relative: true, nulls: "category" }), column.toReversed());
        const distinct = [...new Set(column)];
        expect(turned(...distinct)).toEqual(apply(...distinct));
        const sum = flat(apply(...distinct)).reduce((total: number, share) => total + (share as number), 0);
        expect(sum).toBeCloseTo(distinct.length === 0 ? 0 : 1, 12);
      }),
    );
  });
});

describe("impute", () => {
  test("fills with the most frequent text, of several the first; of none with nothing, or the first of a list", async () => {
    expect(flat((await fit(of.impute("most_frequent"), LETTERS))(null, "x"))).toEqual(["a", "x"]);
    expect(flat((await fit(of.impute("most_frequent"), ["b", "a", null]))(null))).toEqual(["a"]);
    expect(flat((await fit(of.impute("most_frequent"), []))(null))).toEqual([""]);
    const listed = CategoricalTransform.of(request.channel).impute("most_frequent");
    expect(flat((await fit(listed, [null]))(null))).toEqual(["web"]);
    expect(flat((await fit(of.impute("most_frequent").ordinal(), ["b", "b", "a", null]))(null))).toEqual([1]);
  });
});

describe("feature hashing", () => {
  test("hashes as the reference of MurmurHash3_x86_32 does", () => {
    const hash = (text: string, seed = 0): number => {
      const bytes = new TextEncoder().encode(text);
      return murmur3x32(bytes, 0, bytes.length, seed) >>> 0;
    };
    // The known answers that implementations of it are checked with.
    expect([hash(""), hash("", 1), hash("test"), hash("Hello, world!"), hash("aaaa", 0x9747b28c)]).toEqual([
      0, 0x514e28b7, 0xba6bd213, 0xc0363e43, 0x5a97808a,
    ]);
  });

  test("puts ±1 into the bucket that the hash gives, and nothing for null", () => {
    const signed = compile({ y: of.hashColumns(5) }).bind(null);
    const plain = compile({ y: of.hashColumns(5, { signed: false }) }).bind(null);
    const index = compile({ y: of.hash(5, { algorithm: "murmur3_32" }) }).bind(null);
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const [bucket] = index([text]) as [number];
        expect(plain([text])).toEqual([0, 1, 2, 3, 4].map((column) => (column === bucket ? 1 : 0)));
        expect((signed([text]) as number[]).map(Math.abs)).toEqual(plain([text]));
      }),
    );
    expect([signed([null]), index([null])]).toEqual([[0, 0, 0, 0, 0], [null]]);
  });
});

describe("declarations that make no sense", () => {
  test.each<[string, () => unknown]>([
    ["a frequency of 0", () => of.ordinal({ minFrequency: 0 })],
    ["a frequency of 1.5", () => of.ordinal({ minFrequency: 1.5 })],
    ["no category", () => of.ordinal({ maxCategories: 0 })],
    ["an unknown half", () => of.ordinal({ unknown: 0.5 })],
    ["another word for unknown", () => of.ordinal({ unknown: "ignore" as never })],
    ["a null that is nothing", () => of.ordinal({ nulls: Number.NaN })],
    ["a fitted one-hot without a size", () => of.oneHot({} as never)],
    ["a one-hot of too many columns", () => of.oneHot({ maxCategories: 100_000 as number })],
    ["a category twice", () => of.oneHot(["a", "a"])],
    ["the mean of texts", () => of.impute("mean" as never)],
    ["another hash", () => of.hash(2, { algorithm: "md5" as never })],
    ["no bucket", () => of.hashColumns(0)],
    [
      "a negative weight",
      () => of.target({ label: { name: "y", type: { kind: "bool", nullable: false } } }, { smooth: -1 }),
    ],
    ["one fold", () => of.target({ label: { name: "y", type: { kind: "bool", nullable: false } } }, { folds: 1 })],
  ])("are refused: %s", (_, declare) => {
    expect(declare).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
  });

  test("a transform of several columns as the input of another is refused", () => {
    const columns = of.hashColumns(2) as unknown as typeof request.text;
    expect(() =>
      compile({
        y: CategoricalTransform.of({
          ...columns,
          expression: { ...columns.expression, type: { kind: "string", nullable: false } },
        } as never).ordinal(),
      }),
    ).toThrow(
      expect.objectContaining({ code: "DEFINITION_INVALID", message: expect.stringContaining("several columns") }),
    );
  });
});
