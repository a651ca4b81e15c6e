import fc from "fast-check";
import type { ColumnTypeSpec, Value } from "../../../src/definitions/value.ts";
import type { EventOrder } from "../../../src/feature_engineering/aggregations/aggregation.ts";

const signed = (magnitude: fc.Arbitrary<number>): fc.Arbitrary<number> =>
  fc.tuple(magnitude, fc.boolean()).map(([x, negative]) => (negative ? -x : x) + 0);

const powerOfTwo = (min: number, max: number): fc.Arbitrary<number> =>
  signed(fc.integer({ min, max }).map((exponent) => 2 ** exponent));

/** A double around a power of two: that power times 1 + k/2^52 or 1 − k/2^53, for small k. */
const around = (exponent: number): fc.Arbitrary<number> =>
  signed(fc.integer({ min: -3, max: 3 }).map((k) => 2 ** exponent * (1 + (k < 0 ? k / 2 : k) * 2 ** -52)));

/** A double with all of its 53 bits drawn, and 2^min ≤ |x| < 2^(max + 1). */
export function fullDouble(min: number, max: number): fc.Arbitrary<number> {
  const mantissa = fc.bigInt({ min: 2n ** 52n, max: 2n ** 53n - 1n }).map(Number);
  const scaled = fc.tuple(mantissa, fc.integer({ min, max })).map(([x, exponent]) => (x / 2 ** 52) * 2 ** exponent);
  return signed(scaled);
}

const anyDouble = fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0);
const cents = fc.integer({ min: -10_000_000, max: 10_000_000 }).map((x) => x / 100 + 0);
const halves = fc.integer({ min: -100, max: 100 }).map((x) => x / 2 + 0);

/** Finite doubles without −0 where sums go wrong: from one domain each, and mixed. */
export const interestingDoubles: fc.Arbitrary<number>[] = [
  cents,
  halves,
  anyDouble,
  fc.double({ noNaN: true, min: -1e9, max: 1e9 }).map((x) => x + 0),
  fc.integer({ min: -50, max: 50 }).map((x) => 1e9 + x / 7),
  powerOfTwo(-1074, 1023),
  powerOfTwo(-60, 60),
  fc.oneof(around(960), around(480), around(0), around(1023)),
  fc.oneof(around(-480), around(-537), around(-1022), powerOfTwo(-1074, -1000)),
  fullDouble(-560, -470),
  fullDouble(-540, -530),
  fullDouble(470, 490),
  fullDouble(955, 965),
  fc.constantFrom(1e308, -1e308, 1.7e308, Number.MAX_VALUE, -Number.MAX_VALUE, 1, 5e-324, -5e-324, 1e16, -1e16),
];

export const interestingDouble: fc.Arbitrary<number> = fc.oneof(...interestingDoubles);

/** Lists of doubles of one domain or of all, in which some values also occur with the other sign. */
export const doubles: fc.Arbitrary<number[]> = fc
  .constantFrom(...interestingDoubles, interestingDouble)
  .chain((one) => fc.array(fc.tuple(one, fc.boolean()), { maxLength: 30 }))
  .map((pairs) => pairs.flatMap(([x, cancelled]) => (cancelled ? [x, 0 - x] : [x])));

const int64 = fc.oneof(
  fc.bigInt({ min: -1000n, max: 1000n }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 3n }),
  fc.bigInt({ min: 94_906_263n, max: 94_906_268n }).map((x) => -x),
);

const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "a", "b", "é", "日本", "😀"));

/** Columns of every kind, each with an arbitrary of lists of its values. */
export const columns: readonly { readonly type: ColumnTypeSpec; readonly values: fc.Arbitrary<Value[]> }[] = [
  { type: { kind: "float64", nullable: true }, values: doubles },
  { type: { kind: "int32", nullable: true }, values: fc.array(fc.integer(), { maxLength: 40 }) },
  { type: { kind: "int64", nullable: true }, values: fc.array(int64, { maxLength: 40 }) },
  { type: { kind: "timestamp", nullable: true }, values: fc.array(fc.integer({ min: 0, max: 2 ** 41 })) },
  { type: { kind: "string", nullable: true }, values: fc.array(text, { maxLength: 40 }) },
  { type: { kind: "bool", nullable: true }, values: fc.array(fc.boolean()) },
  {
    type: { kind: "list", nullable: true, item: { kind: "int32", nullable: false } },
    values: fc.array(fc.array(fc.nat(3), { maxLength: 3 })),
  },
];

/** An order that shares its leading parts with many others. The last word makes it unique if `index` is. */
export function orderArbitrary(index: number): fc.Arbitrary<EventOrder> {
  const word = fc.constantFrom(0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1);
  return fc.record(
    {
      eventTime: fc.constantFrom(-5, 0, 3, 1_700_000_000_000, 1_700_000_000_001),
      version: fc.constantFrom(null, -1, 0, 7, 8n, 2n ** 60n),
      ingestedAt: fc.constantFrom(0, 1, 1_700_000_000_500),
      hash0: word,
      hash1: word,
      hash2: word,
      hash3: fc.constant(index),
    },
    { noNullPrototype: true },
  );
}
