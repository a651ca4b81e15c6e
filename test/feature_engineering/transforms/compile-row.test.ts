import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import {
  CategoricalTransform,
  derive,
  entity,
  featureView,
  httpPush,
  latest,
  NumericTransform,
  requestSource,
  streamSource,
  sum,
  t,
} from "../../../src/definitions/index.ts";
import { murmur3 } from "../../../src/feature_engineering/encoding/murmur3.ts";
import { compile, inputsOf, rowOf } from "./inputs.ts";

const request = requestSource({
  x: t.float64().nullable(),
  n: t.int64().nullable(),
  text: t.string().nullable(),
  channel: t.oneOf("chip", "online").nullable(),
  at: t.timestamp().nullable(),
  list: t.list(t.float64()).nullable(),
});

describe("the inputs of a row", () => {
  const flight = streamSource("flights", {
    stream: httpPush(),
    eventTime: "at",
    lateness: "1m",
    schema: { airport_id: t.string(), delay: t.float64(), at: t.timestamp() },
  });
  const airports = featureView("airports", {
    source: flight,
    entity: entity("airport", { airport_id: t.string() }),
    features: { delay: sum(flight.delay).over("1h"), last: latest(flight.delay) },
  });
  const origin = airports.as({ airport_id: "origin" });

  test("are each view feature once per lookup key, then each request column once", () => {
    const compiled = compile({
      x: request.x,
      here: airports.delay,
      there: origin.delay,
      again: NumericTransform.of(airports.delay).log1p(),
      more: derive({ x: request.x, last: origin.last }, t.float64().nullable(), ({ x, last }) => x ?? last),
    });
    expect(
      compiled.featureInputs.map(({ view, feature, keys, slot }) => [view.name, feature, keys.airport_id, slot]),
    ).toEqual([
      ["airports", "delay", "airport_id", 0],
      ["airports", "delay", "origin", 1],
      ["airports", "last", "origin", 2],
    ]);
    expect(compiled.requestInputs.map(({ name, slot }) => [name, slot])).toEqual([["x", 3]]);
    expect(compiled.bind(null)([1, 2, 3, null])).toEqual([null, 1, 2, Math.log1p(1), 3]);
  });
});

describe("numbers", () => {
  type Numeric = ReturnType<typeof NumericTransform.of<typeof request.x>>;
  const row = (transform: object, x: number | null) => rowOf(compile({ y: transform }), { x }).y;

  test("nulls pass through until they are filled", () => {
    const of = NumericTransform.of(request.x);
    expect(row(of.log1p().clip(-1, 1), null)).toBeNull();
    expect(row(of.log1p().fillNull(7).clip(0, 5), null)).toBe(5);
    expect(row(of.fillNull(0), 3)).toBe(3);
  });

  test("log1p is null from −1 down, also where it is filled afterwards", () => {
    const log = NumericTransform.of(request.x).log1p();
    expect([row(log, -1), row(log, -2), row(log, 0), row(log, Math.E - 1)]).toEqual([
      null,
      null,
      0,
      Math.log1p(Math.E - 1),
    ]);
    expect(row(log.fillNull(-9), -1)).toBe(-9);
  });

  test("an int64 becomes the nearest double where a number is transformed, and stays a bigint elsewhere", () => {
    const compiled = compile({ n: request.n, y: NumericTransform.of(request.n) });
    expect(rowOf(compiled, { n: 2n ** 53n + 1n })).toEqual({ n: 2n ** 53n + 1n, y: 2 ** 53 });
  });

  test("whatever the steps and the value, the result is null or finite, and never −0", () => {
    const step = fc.oneof(
      fc.constant((of: Numeric) => of.log1p()),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (of: Numeric) => of.fillNull(value)),
      fc
        .tuple(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.double({ noNaN: true, noDefaultInfinity: true }))
        .map(
          ([a, b]) =>
            (of: Numeric) =>
              of.clip(Math.min(a, b), Math.max(a, b)),
        ),
    );
    const value = fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 4 }), value, (steps, x) => {
        const y = row(
          steps.reduce((of, add) => add(of), NumericTransform.of(request.x)),
          x,
        );
        expect(y === null || (Number.isFinite(y) && !Object.is(y, -0))).toBe(true);
      }),
    );
  });
});

describe("categories", () => {
  test("one-hot is all 0 for null and for values outside the list", () => {
    const compiled = compile({
      channel: CategoricalTransform.of(request.channel).oneHot(),
      text: CategoricalTransform.of(request.text).oneHot(["BE", "NL"]),
    });
    expect(rowOf(compiled, { channel: "online", text: "BE" })).toEqual({
      channel_chip: 0,
      channel_online: 1,
      text_BE: 1,
      text_NL: 0,
    });
    expect(Object.values(rowOf(compiled, { channel: null, text: "FR" }))).toEqual([0, 0, 0, 0]);
  });

  test("ordinal is the position, −1 outside the list, null for null until filled", () => {
    const of = CategoricalTransform.of(request.channel);
    const compiled = compile({
      own: of.ordinal(),
      given: of.ordinal(["online"]),
      filled: of.fillNull("online").ordinal(),
    });
    expect(rowOf(compiled, { channel: "online" })).toEqual({ own: 1, given: 0, filled: 1 });
    expect(rowOf(compiled, { channel: "chip" })).toEqual({ own: 0, given: -1, filled: 0 });
    expect(rowOf(compiled, { channel: null })).toEqual({ own: null, given: null, filled: 1 });
  });

  test("names that objects have by themselves are ordinary categories", () => {
    const compiled = compile({ y: CategoricalTransform.of(request.text).ordinal(["a"]) });
    expect(rowOf(compiled, { text: "constructor" }).y).toBe(-1);
  });

  test("hash is the first word of MurmurHash3 of the UTF-8, modulo the buckets", () => {
    fc.assert(
      fc.property(
        fc.option(fc.string({ unit: "grapheme", maxLength: 100 })),
        fc.integer({ min: 1, max: 2 ** 31 - 1 }),
        (text, buckets) => {
          const bucket = rowOf(compile({ y: CategoricalTransform.of(request.text).hash(buckets) }), { text }).y;
          if (text === null) {
            expect(bucket).toBeNull();
            return;
          }
          const bytes = Buffer.from(text, "utf8");
          const words = new Uint32Array(4);
          murmur3(bytes, 0, bytes.length, 0, words);
          expect(bucket).toBe(words[0]! % buckets);
        },
      ),
    );
  });
});

describe("derive", () => {
  interface Row {
    readonly x: number | null;
    readonly n: bigint;
    readonly at: Date;
    readonly list: readonly number[];
  }
  const derived = (fn: (row: Row) => unknown, type: object, values: object = {}): readonly [unknown, number] => {
    const onFailure = vi.fn();
    const y = derive({ x: request.x, n: request.n, at: request.at, list: request.list }, type as never, fn as never);
    const value = rowOf(compile({ y }, { onFailure }), values as never).y;
    for (const call of onFailure.mock.calls) expect(call).toEqual(["y"]);
    return [value, onFailure.mock.calls.length];
  };

  test("gives user code Dates, bigints and lists, and nulls as nulls", () => {
    const seen = derived(
      ({ x, n, at, list }) => `${x} ${n + 1n} ${at instanceof Date && at.toISOString()} ${list.length}`,
      t.string(),
      { x: null, n: 2n ** 60n, at: 0, list: [1, 2] },
    );
    expect(seen).toEqual(["null 1152921504606846977 1970-01-01T00:00:00.000Z 2", 0]);
  });

  test.each<[string, object, (row: Row) => unknown, unknown, number]>([
    ["a throw", t.float64().nullable(), () => JSON.parse("{"), null, 1],
    ["undefined", t.float64().nullable(), () => undefined, null, 1],
    ["another type", t.float64().nullable(), () => "1", null, 1],
    ["a bigint for a float64", t.float64(), () => 1n, null, 1],
    ["a promise-like object", t.float64(), () => ({ value: 1 }), null, 1],
    ["null where it is allowed", t.float64().nullable(), () => null, null, 0],
    ["null where it is not", t.float64(), () => null, null, 1],
    ["NaN where null is allowed", t.float64().nullable(), () => 0 / 0, null, 0],
    ["an infinity where null is not allowed", t.float64(), () => 1 / 0, null, 1],
    ["−0", t.float64(), () => -0, 0, 0],
    ["−0 as int32", t.int32(), () => -0, 0, 0],
    ["an int32", t.int32(), () => -(2 ** 31), -(2 ** 31), 0],
    ["too large an int32", t.int32(), () => 2 ** 31, null, 1],
    ["a fraction as int32", t.int32(), () => 1.5, null, 1],
    ["an int64", t.int64(), () => 2n ** 63n - 1n, 2n ** 63n - 1n, 0],
    ["too large an int64", t.int64(), () => 2n ** 63n, null, 1],
    ["a number for an int64", t.int64(), () => 1, null, 1],
    ["a bool", t.bool(), () => false, false, 0],
    ["0 for a bool", t.bool(), () => 0, null, 1],
    ["a Date", t.timestamp(), () => new Date(5), 5, 0],
    ["milliseconds for a Date", t.timestamp(), () => 5, null, 1],
    ["an invalid Date", t.timestamp().nullable(), () => new Date("x"), null, 0],
    ["one of the values", t.oneOf("a", "b"), () => "b", "b", 0],
    ["none of the values", t.oneOf("a", "b"), () => "c", null, 1],
    ["a list", t.list(t.timestamp()), () => [new Date(1)], [1], 0],
    ["a list with a wrong item", t.list(t.int32()), () => [1, 1.5], null, 1],
    ["a list with a null", t.list(t.int32()), () => [1, null], null, 1],
    ["a list with an allowed null", t.list(t.int32().nullable()), () => [1, null], [1, null], 0],
    ["a list with a hole", t.list(t.int32().nullable()), () => Array(1), null, 1],
    ["no list", t.list(t.int32()), () => 1, null, 1],
  ])("turns %s into what the declared type says", (_, type, fn, expected, failures) => {
    const [value, count] = derived(fn, type);
    expect(value).toEqual(expected);
    expect(Object.is(value, -0)).toBe(false);
    expect(count).toBe(failures);
  });

  test("changes of what a function was given are seen by no later call", () => {
    const list = [3, 1, 2];
    const y = derive({ list: request.list }, t.list(t.float64()), (row) => {
      const { calls = 0 } = row as { calls?: number };
      (row as { calls?: number }).calls = calls + 1;
      return [calls, ...(row.list as number[]).sort()];
    });
    const compiled = compile({ y, again: y, list: request.list });
    const transform = compiled.bind(null);
    transform([list]);
    expect(transform([list])).toEqual([
      [0, 1, 2, 3],
      [0, 1, 2, 3],
      [3, 1, 2],
    ]);
    expect(list).toEqual([3, 1, 2]);
  });

  test("reads derived and transformed values", () => {
    const doubled = derive({ x: NumericTransform.of(request.x).fillNull(1) }, t.float64(), ({ x }) => x * 2);
    const compiled = compile({ y: derive({ doubled }, t.float64(), (row) => row.doubled + 1) });
    expect(rowOf(compiled, { x: null })).toEqual({ y: 3 });
  });

  test("fails alone: other columns of the row keep their values", () => {
    const compiled = compile({
      bad: derive({ x: request.x }, t.float64(), ({ x }) => (x as number) * Number(BigInt(x as number))),
      good: request.x,
    });
    expect(rowOf(compiled, { x: 0.5 })).toEqual({ bad: null, good: 0.5 });
  });
});

test("a row is a function of its inputs alone", () => {
  const compiled = compile({
    x: NumericTransform.of(request.x).log1p(),
    hot: CategoricalTransform.of(request.channel).oneHot(),
    hash: CategoricalTransform.of(request.text).hash(100),
    y: derive({ x: request.x }, t.float64().nullable(), ({ x }) => (x === null ? null : 1 / x)),
  });
  const transform = compiled.bind(null);
  const values = fc.record({
    x: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0)),
    channel: fc.option(fc.constantFrom("chip", "online")),
    text: fc.option(fc.string()),
  });
  fc.assert(
    fc.property(values, values, (one, other) => {
      const first = transform(inputsOf(compiled, one));
      transform(inputsOf(compiled, other));
      expect(transform(inputsOf(compiled, one))).toEqual(first);
      expect(first).toHaveLength(compiled.columns.length);
    }),
  );
});
