import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ColumnTypeSpec, Value } from "../../../src/definitions/value.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { writeCanonicalJson } from "../../../src/feature_engineering/encoding/canonical-json.ts";
import { murmur3 } from "../../../src/feature_engineering/encoding/murmur3.ts";
import {
  createPayloadHasher,
  type PayloadColumn,
  payloadHash,
  writeCanonicalRow,
} from "../../../src/feature_engineering/encoding/payload-hash.ts";

const column = (name: string, kind: ColumnTypeSpec["kind"] = "string"): PayloadColumn => ({
  name,
  type: { kind, nullable: true },
});

function canonical(value: Value): string {
  const out = createByteWriter(1);
  writeCanonicalJson(out, value);
  return new TextDecoder("utf-8", { fatal: true }).decode(out.finish());
}

describe("canonical JSON", () => {
  const decimals = fc
    .tuple(fc.integer({ min: -(10 ** 9), max: 10 ** 9 }), fc.constantFrom(2, 10, 100, 1000, 10_000, 100_000, 1e6, 3))
    .map(([x, scale]) => x / scale + 0);
  const doubles = fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0);
  const numbers = fc.oneof(fc.integer(), fc.maxSafeInteger(), decimals, doubles);
  const strings = fc.oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.string({
      unit: fc.constantFrom('"', "\\", "\n", "\u0000", "\u001f", "\u007f", "\u2028", "\ud800", "\udc00", "é"),
    }),
  );

  test("writes numbers, strings, booleans and lists as JSON.stringify does", () => {
    const scalars = fc.oneof(numbers, strings, fc.boolean(), fc.constant(null));
    fc.assert(
      fc.property(fc.oneof(scalars, fc.array(fc.oneof(scalars, fc.array(scalars)))), (value) => {
        expect(canonical(value as Value)).toBe(JSON.stringify(value));
      }),
      { numRuns: 2000 },
    );
  });

  test("writes doubles near the short forms exactly", () => {
    for (const near of [0.0001, 0.1, 12.34, 99999999999.9999, 100000000000.0001, 123456.7, 1e15 / 1e4]) {
      let x = near * (1 - 8 * 2 ** -53);
      for (let step = 0; step < 16; step++, x += near * 2 ** -53) expect(canonical(x)).toBe(String(x));
    }
  });

  test("writes an int64 as its digits", () => {
    for (const x of [0n, -7n, 2n ** 53n - 1n, 2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n]) {
      expect(canonical(x)).toBe(String(x));
    }
  });

  test("writes rows with sorted names and without nulls", () => {
    const columns = [column("a\u{1f600}"), column("a\uff5e"), column('b"')];
    const row = ["x", null, 1, true];
    const write = (indexes: readonly number[]): string => {
      const out = createByteWriter();
      writeCanonicalRow(out, columns, row, indexes);
      return new TextDecoder().decode(out.finish());
    };
    expect(write([0, 2, 3])).toBe('{"a\u{1f600}":"x","a\uff5e":1,"b\\"":true}');
    expect(write([1, 2, 1])).toBe('{"a\uff5e":1}');
    expect(write([1, 1, 1])).toBe("{}");
  });
});

describe("a payload hash", () => {
  test("is the hash of the canonical JSON, in any order of the columns", () => {
    const columns = [column("name"), column("amount", "float64"), column("at", "timestamp"), column("id", "int64")];
    const row: Value[] = ["Zoë", 12.5, 1_700_000_000_000, 2n ** 60n];
    const json = `{"amount":12.5,"at":1700000000000,"id":${2n ** 60n},"name":"Zoë"}`;
    const bytes = new TextEncoder().encode(json);
    const expected = new Uint32Array(4);
    murmur3(bytes, 0, bytes.length, 0, expected);
    expect(payloadHash(columns, row)).toStrictEqual(expected);
    expect(payloadHash([...columns].reverse(), [...row].reverse())).toStrictEqual(expected);
    expect(payloadHash([...columns, column("added")], [...row, null])).toStrictEqual(expected);
  });

  test("does not remember the row before", () => {
    const hash = createPayloadHasher([column("a"), column("b")]);
    const words = new Uint32Array(4);
    hash(["a long first text", "and another"], words);
    hash(["x", null], words);
    expect(words).toStrictEqual(payloadHash([column("a")], ["x"]));
  });
});
