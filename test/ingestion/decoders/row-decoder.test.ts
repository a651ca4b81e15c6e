import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ColumnKind, ColumnTypeSpec, Value } from "../../../src/definitions/value.ts";
import { compileRowDecoder, isDecodeFailure, type SourceColumn } from "../../../src/ingestion/decoders/row-decoder.ts";
import type { TimestampUnit } from "../../../src/ingestion/decoders/value-decoder.ts";

const at: SourceColumn = { name: "at", type: { kind: "timestamp", nullable: false } };
const NOW = "2026-01-31T08:15:00Z";

interface Case {
  readonly cells?: "json" | "text";
  readonly unit?: TimestampUnit;
  readonly nulls?: readonly string[];
}

function type(kind: ColumnKind, more: Partial<ColumnTypeSpec> = {}): ColumnTypeSpec {
  return { kind, nullable: false, ...more };
}

/** Decodes one value beside the event time: the value, or the reason as an Error. */
function decode(spec: ColumnTypeSpec, input: unknown, options: Case = {}): Value | Error {
  const column: SourceColumn = { name: "x", type: spec, ...(options.unit === undefined ? {} : { unit: options.unit }) };
  const decoder = compileRowDecoder([at, column], {
    eventTime: "at",
    cells: options.cells ?? "json",
    nulls: options.nulls ?? [],
  });
  const row = decoder.decode({ at: NOW, x: input });
  return isDecodeFailure(row) ? new Error(row.reason) : row[1]!;
}

const text: Case = { cells: "text" };

describe("int64", () => {
  test("becomes a bigint from numbers, strings of digits and bigints", () => {
    expect(decode(type("int64"), 5)).toBe(5n);
    expect(decode(type("int64"), -0)).toBe(0n);
    expect(decode(type("int64"), "-9223372036854775808")).toBe(-(2n ** 63n));
    expect(decode(type("int64"), 2n ** 63n - 1n)).toBe(2n ** 63n - 1n);
    expect(decode(type("int64"), "9007199254740993", text)).toBe(9007199254740993n);
    expect(decode(type("int64"), " 17.0 ", text)).toBe(17n);
  });

  test("is refused out of range, with a fraction, or when digits were lost", () => {
    for (const input of [2n ** 63n, "-9223372036854775809", 1.5, 2 ** 53, "1.5", "", "1e3", true, {}]) {
      expect(decode(type("int64"), input)).toBeInstanceOf(Error);
    }
  });
});

describe("int32 and float64", () => {
  test("take numbers in their range and make −0 into 0", () => {
    expect(decode(type("int32"), -2147483648)).toBe(-2147483648);
    expect(Object.is(decode(type("int32"), -0), 0)).toBe(true);
    expect(Object.is(decode(type("float64"), -0), 0)).toBe(true);
    expect(decode(type("float64"), 2n ** 60n)).toBe(2 ** 60);
    expect(decode(type("float64"), "1.5e3", text)).toBe(1500);
    expect(decode(type("int32"), "7.0", text)).toBe(7);
    for (const input of [2147483648, 1.5, "5", 2n ** 31n]) expect(decode(type("int32"), input)).toBeInstanceOf(Error);
    for (const input of ["0x10", "1,5", "five", "1 2"])
      expect(decode(type("float64"), input, text)).toBeInstanceOf(Error);
    expect(decode(type("float64"), "1.5")).toBeInstanceOf(Error);
  });

  test("inputs that are not finite are null, which a column that is not nullable refuses", () => {
    for (const input of [Number.NaN, Number.POSITIVE_INFINITY, "NaN", "-Infinity", JSON.parse("1e999")]) {
      expect(decode(type("float64", { nullable: true }), input)).toBeNull();
      expect(decode(type("float64"), input)).toBeInstanceOf(Error);
    }
    expect(decode(type("float64", { nullable: true }), "1e999", text)).toBeNull();
    expect(decode(type("int64", { nullable: true }), Number.NaN)).toBeNull();
  });
});

describe("timestamp", () => {
  test("takes ISO 8601 with a zone, epoch milliseconds and Dates, floored", () => {
    const ms = Date.UTC(2026, 0, 31, 8, 15);
    expect(decode(type("timestamp"), "2026-01-31T09:15:00+01:00")).toBe(ms);
    expect(decode(type("timestamp"), ms + 0.9)).toBe(ms);
    expect(decode(type("timestamp"), -0.5)).toBe(-1);
    expect(decode(type("timestamp"), new Date(ms))).toBe(ms);
    expect(decode(type("timestamp"), ms, { unit: "ms" })).toBe(ms);
  });

  test("reads declared units exactly", () => {
    expect(decode(type("timestamp"), 1700000000.123, { unit: "s" })).toBe(1700000000123);
    expect(decode(type("timestamp"), "1700000000.123", { unit: "s", cells: "text" })).toBe(1700000000123);
    expect(decode(type("timestamp"), 1700000000123999, { unit: "us" })).toBe(1700000000123);
    expect(decode(type("timestamp"), 1700000000123999999n, { unit: "ns" })).toBe(1700000000123);
    expect(decode(type("timestamp"), -1n, { unit: "ns" })).toBe(-1);
    expect(decode(type("timestamp"), "1700000000123999999", { unit: "ns", cells: "text" })).toBe(1700000000123);
  });

  test("a fraction of seconds in whole milliseconds survives", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4e12 }),
        (ms) => decode(type("timestamp"), ms / 1000, { unit: "s" }) === ms,
      ),
    );
  });

  test("a time without a zone is refused with that reason", () => {
    expect(String(decode(type("timestamp"), "2026-01-31T09:15:00"))).toMatch(/has no time zone/);
  });

  test("digits in text are no epoch unless a unit is declared", () => {
    expect(decode(type("timestamp"), "20130101", text)).toBeInstanceOf(Error);
    expect(decode(type("timestamp"), "20130101", { ...text, unit: "ms" })).toBe(20130101);
    expect(decode(type("timestamp"), 9e15)).toBeInstanceOf(Error);
  });
});

describe("string, bool, one_of and list", () => {
  test("lone surrogates become U+FFFD", () => {
    expect(decode(type("string"), "a\ud800b")).toBe("a\ufffdb");
    expect(decode(type("string"), "😀")).toBe("😀");
    expect(decode(type("string"), 5)).toBeInstanceOf(Error);
  });

  test("bools are true or false, in text also 1 or 0", () => {
    expect(decode(type("bool"), true)).toBe(true);
    expect(decode(type("bool"), 1)).toBeInstanceOf(Error);
    expect(["true", "False", "1", "0"].map((cell) => decode(type("bool"), cell, text))).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(decode(type("bool"), "yes", text)).toBeInstanceOf(Error);
  });

  test("a value that is none of one_of's is refused with those allowed", () => {
    const channel = type("one_of", { values: ["chip", "online"] });
    expect(decode(channel, "chip")).toBe("chip");
    expect(String(decode(channel, "cash"))).toMatch(
      /column "x": found the string "cash"; expected one of "chip", "online"/,
    );
    expect(decode(channel, "toString")).toBeInstanceOf(Error);
  });

  test("lists hold their item type, null only where it is nullable", () => {
    expect(decode(type("list", { item: type("int64") }), [1, "2"])).toEqual([1n, 2n]);
    expect(decode(type("list", { item: type("int64") }), [1, null])).toBeInstanceOf(Error);
    expect(decode(type("list", { item: type("float64", { nullable: true }) }), [1, null, "NaN"])).toEqual([
      1,
      null,
      null,
    ]);
    expect(decode(type("list", { item: type("string") }), '["a"]', text)).toEqual(["a"]);
    expect(decode(type("list", { item: type("string") }), "a", text)).toBeInstanceOf(Error);
  });
});

describe("rows", () => {
  test("missing and null fields are null, or refused where the column is not nullable", () => {
    expect(decode(type("string", { nullable: true }), null)).toBeNull();
    expect(decode(type("string", { nullable: true }), undefined)).toBeNull();
    expect(String(decode(type("string"), undefined))).toMatch(
      /column "x": found null, or no such field; expected a string/,
    );
  });

  test("empty cells and declared null texts are null", () => {
    const nullable = type("string", { nullable: true });
    expect(decode(nullable, "", text)).toBeNull();
    expect(decode(nullable, "NA", { ...text, nulls: ["NA"] })).toBeNull();
    expect(decode(nullable, "NA", text)).toBe("NA");
    expect(decode(nullable, "")).toBe("");
  });

  test("columns named like inherited properties read only the record's own fields", () => {
    const columns = ["constructor", "to_string", "__proto__"].map((name) => ({
      name,
      type: type("string", { nullable: true }),
    }));
    const decoder = compileRowDecoder([at, ...columns], { eventTime: "at" });
    expect(decoder.decode({ at: NOW })).toEqual([expect.any(Number), null, null, null]);
    expect(decoder.decode(JSON.parse(`{"at":"${NOW}","constructor":"c","__proto__":"p"}`))).toEqual([
      expect.any(Number),
      "c",
      null,
      "p",
    ]);
  });

  test("nested fields are reached by their path, and unknown fields are ignored", () => {
    const columns: SourceColumn[] = [at, { name: "city", path: "a.b.city", type: type("string", { nullable: true }) }];
    const decoder = compileRowDecoder(columns, { eventTime: "at" });
    expect(decoder.decode({ at: NOW, a: { b: { city: "Bern", more: 1 } }, z: 1 })).toEqual([
      expect.any(Number),
      "Bern",
    ]);
    expect(decoder.decode({ at: NOW, a: null })).toEqual([expect.any(Number), null]);
    expect(decoder.decode({ at: NOW, a: "text" })).toMatchObject({ code: "INVALID_VALUE" });
  });

  test("an event without an event time is refused even if the column is nullable", () => {
    const decoder = compileRowDecoder([{ ...at, type: type("timestamp", { nullable: true }) }], { eventTime: "at" });
    expect(decoder.decode({})).toMatchObject({ code: "INVALID_VALUE" });
  });

  test("an event time that is no timestamp column is refused when compiling", () => {
    expect(() => compileRowDecoder([at], { eventTime: "when" })).toThrow(
      expect.objectContaining({ code: "COLUMN_UNKNOWN" }),
    );
  });

  test("fields bound to a header give what the same record gives", () => {
    const columns: SourceColumn[] = [
      at,
      { name: "n", type: type("int32") },
      { name: "s", type: type("string", { nullable: true }), path: "S s" },
    ];
    const decoder = compileRowDecoder(columns, { eventTime: "at", cells: "text" });
    const header = ["S s", "other", "n", "at"];
    const bound = decoder.bindHeader(header);
    for (const fields of [
      ["x", "o", "5", NOW],
      ["", "", "5", NOW],
      ["x", "o", "five", NOW],
      ["x", "o", "", NOW],
    ]) {
      expect(bound(fields)).toEqual(decoder.decode(Object.fromEntries(header.map((name, i) => [name, fields[i]]))));
    }
  });

  test("any JSON at all gives a row of the schema's types or a failure, and never throws", () => {
    const kinds: ColumnTypeSpec[] = [
      type("string", { nullable: true }),
      type("int64", { nullable: true }),
      type("int32", { nullable: true }),
      type("float64", { nullable: true }),
      type("bool", { nullable: true }),
      type("timestamp", { nullable: true }),
      type("list", { nullable: true, item: type("string") }),
    ];
    for (const spec of kinds) {
      fc.assert(
        fc.property(fc.jsonValue(), (input) => {
          const value = decode(spec, input);
          if (value instanceof Error || value === null) return true;
          const found = Array.isArray(value) ? "list" : typeof value;
          const expected = {
            string: "string",
            int64: "bigint",
            int32: "number",
            float64: "number",
            bool: "boolean",
            timestamp: "number",
            list: "list",
            one_of: "string",
          };
          return found === expected[spec.kind];
        }),
      );
    }
  });
});
