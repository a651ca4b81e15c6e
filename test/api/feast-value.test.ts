import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { feastTime, feastValueWriter } from "../../src/api/feast/feast-value.ts";
import type { ColumnTypeSpec } from "../../src/definitions/value.ts";

const type = (kind: ColumnTypeSpec["kind"]): ColumnTypeSpec => ({ kind, nullable: true });

describe("values for Feast's client", () => {
  it("writes times as Date does, whatever was written before", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -8.64e15, max: 8.64e15 }), { minLength: 1 }), (times) => {
        for (const ms of times) expect(feastTime(ms)).toBe(JSON.stringify(new Date(ms)));
      }),
    );
    expect(feastTime(Number.NEGATIVE_INFINITY)).toBe('"1970-01-01T00:00:00Z"');
  });

  it("writes any double so that it is read back to the bit and is no integer's text", () => {
    const write = feastValueWriter(type("float64"));
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const text = write(value + 0);
        expect(JSON.parse(text)).toBe(value + 0);
        expect(text).toMatch(/[.e]/);
      }),
    );
  });

  it("writes what a list holds by its items' type", () => {
    const write = feastValueWriter({ ...type("list"), item: type("float64") });
    expect(write([1, null, 2.5])).toBe("[1.0,null,2.5]");
    expect(feastValueWriter({ ...type("list"), item: type("int64") })([2n ** 62n])).toBe("[4611686018427387904]");
  });
});
