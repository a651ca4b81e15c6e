import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileNumberRows } from "../../src/api/number-rows.ts";
import { compilePlainRows } from "../../src/api/plain-rows.ts";
import { featureService, NumericTransform, requestSource, t } from "../../src/definitions/index.ts";
import { Meta } from "../../src/definitions/meta.ts";
import { createServiceRuntime, type ServiceRuntime } from "../../src/feature_store/service-runtime.ts";

const request = requestSource({ a: t.float64(), b: t.float64().nullable(), c: t.float64() });
const runtimeOf = (service: Parameters<typeof createServiceRuntime>[0]): ServiceRuntime =>
  createServiceRuntime(service, () => {
    throw new TypeError("There is no view.");
  });
/** Columns of other names and in another order than the request's, one of them twice. */
const runtime = runtimeOf(
  featureService("s", { features: { z: request.c, b: request.b, a: request.a, again: request.a } })[Meta],
);
const read = compileNumberRows(runtime, 4)!;
const readValues = compilePlainRows(runtime.service.lookup, 4)!;

/** As values of the request's columns, then as the model's; NaN stands for null. */
function ordinary(bytes: Uint8Array, from: number, to: number): number[] | null {
  const place = (name: string): number => runtime.service.lookup.findIndex((column) => column.name === name);
  const rows = readValues(bytes, from, to);
  return (
    rows?.flatMap((row) => ["c", "b", "a", "a"].map((name) => (row[place(name)] as number | null) ?? Number.NaN)) ??
    null
  );
}
function found(bytes: Uint8Array, from: number, to: number): number[] | null {
  const rows = read(bytes, from, to);
  if (rows === null) return null;
  const numbers = [...rows.matrix];
  expect(numbers).toHaveLength(4 * rows.count);
  rows.release();
  return numbers;
}

const value = fc.oneof(
  { weight: 20, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map(String) },
  {
    weight: 3,
    arbitrary: fc.constantFrom("null", "-0", "1e400", "true", '"1"', "[1]", "1.", "nul", "12345678901234567890"),
  },
);
const space = fc.constantFrom("", "", " ", "\n ");
const row = fc
  .tuple(
    fc.constantFrom(["a", "b", "c"], ["a", "b", "c"], ["b", "c", "a"], ["a", "b"], ["a", "a", "c"]),
    fc.array(value, { minLength: 3, maxLength: 3 }),
    space,
  )
  .map(([names, values, gap]) => `{${names.map((name, i) => `"${name}":${gap}${values[i]}`).join(`,${gap}`)}}`);
const body = fc
  .tuple(fc.array(row, { minLength: 1, maxLength: 5 }), space)
  .map(([rows, gap]) => `{"rows":${gap}[${rows.join(`,${gap}`)}]}`);

describe("rows of numbers", () => {
  it("are the values that the ordinary reader reads, or none where it reads none", () => {
    fc.assert(
      fc.property(body, (text) => {
        const bytes = Buffer.from(`{1${text}2}`);
        const to = bytes.length - 2;
        expect(found(bytes, 2, to)).toEqual(ordinary(bytes, 2, to));
      }),
      { numRuns: 5_000 },
    );
  });

  it("are not read where the ordinary reader reads none, whatever byte is changed, left out or added", () => {
    fc.assert(
      fc.property(body, fc.nat(), fc.nat({ max: 255 }), fc.constantFrom(0, 1), (text, at, byte, cut) => {
        const bytes = [...Buffer.from(text)];
        bytes.splice(at % bytes.length, cut, ...(byte % 7 === 0 ? [] : [byte]));
        const changed = Uint8Array.from(bytes);
        expect(found(changed, 0, changed.length)).toEqual(ordinary(changed, 0, changed.length));
      }),
      { numRuns: 5_000 },
    );
  });

  it("of two bodies at once have memory of their own", () => {
    const bytes = (a: number): Buffer => Buffer.from(`{"rows":[{"a":${a},"b":null,"c":${a}}]}`);
    const [first, second] = [bytes(1), bytes(2)];
    const [one, two] = [read(first, 0, first.length)!, read(second, 0, second.length)!];
    expect([...one.matrix, ...two.matrix]).toEqual([1, Number.NaN, 1, 1, 2, Number.NaN, 2, 2]);
    two.release();
    one.release();
  });

  it("are no matter of services that read a view, transform a column, or have others than doubles", () => {
    expect(compileNumberRows({ ...runtime, lookups: [{}] } as unknown as ServiceRuntime, 4)).toBeNull();
    const scaled = featureService("t", { features: { a: NumericTransform.of(request.a).clip(0, 1) } });
    expect(compileNumberRows(runtimeOf(scaled[Meta]), 4)).toBeNull();
    const whole = featureService("i", { features: { i: requestSource({ i: t.int32() }).i } });
    expect(compileNumberRows(runtimeOf(whole[Meta]), 4)).toBeNull();
  });
});
