import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ColumnTypeSpec, Value } from "../../../src/definitions/value.ts";
import { createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { decodeEntityKey, encodeEntityKey } from "../../../src/feature_engineering/encoding/entity-key.ts";

const type = (kind: ColumnTypeSpec["kind"]): ColumnTypeSpec => ({ kind, nullable: false });

const short = fc.string({ unit: fc.constantFrom("a", "\u0000", "\u0001", "\u0002", "\u0003", "é"), maxLength: 4 });

const part: fc.Arbitrary<{ type: ColumnTypeSpec; value: Value }> = fc.oneof(
  fc.record({
    type: fc.constantFrom(type("string"), type("one_of")),
    value: fc.oneof(short, fc.string({ unit: "binary" })),
  }),
  fc.record({ type: fc.constant(type("int64")), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
  fc.record({ type: fc.constant(type("int64")), value: fc.bigInt({ min: -2n, max: 2n }) }),
  fc.record({ type: fc.constantFrom(type("int32"), type("timestamp")), value: fc.integer({ min: -2, max: 300 }) }),
  fc.record({ type: fc.constant(type("bool")), value: fc.boolean() }),
  fc.record({ type: fc.constant(type("float64")), value: fc.constantFrom(0, 1, 0.5, -1e300) }),
);
const key = fc.array(part, { maxLength: 4 });
type Key = readonly { type: ColumnTypeSpec; value: Value }[];

function bytesOf(parts: Key): Uint8Array {
  const out = createByteWriter(1);
  expect(
    encodeEntityKey(
      parts.map((one) => one.type),
      parts.map((one) => one.value),
      out,
    ),
  ).toBe(true);
  return out.finish();
}

describe("an entity key", () => {
  test("decodes to its values", () => {
    fc.assert(
      fc.property(key, (parts) => {
        expect(decodeEntityKey(createByteReader(bytesOf(parts)))).toStrictEqual(parts.map((one) => one.value));
      }),
      { numRuns: 500 },
    );
  });

  test("has bytes of its own: different keys never share them", () => {
    const identity = (parts: Key): string =>
      parts
        .map((one) => `${one.type.kind === "one_of" ? "string" : one.type.kind} ${JSON.stringify(String(one.value))}`)
        .join();
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(String(bytesOf(a)) === String(bytesOf(b))).toBe(identity(a) === identity(b));
      }),
      { numRuns: 2000 },
    );
  });

  test("does not let parts flow into each other", () => {
    const strings = [type("string"), type("string")];
    const bytes = (values: Value[]): string => {
      const out = createByteWriter();
      encodeEntityKey(strings, values, out);
      return String(out.finish());
    };
    expect(new Set([bytes(["ab", "c"]), bytes(["a", "bc"]), bytes(["abc", ""]), bytes(["", "abc"])]).size).toBe(4);
  });

  test("does not exist where a value is null, and leaves no bytes", () => {
    const out = createByteWriter();
    expect(encodeEntityKey([type("string"), type("int64")], ["a", null], out)).toBe(false);
    expect(out.position).toBe(0);
  });

  test.each([
    ["int64", 5],
    ["int32", 5n],
    ["string", 5],
    ["bool", "true"],
    ["timestamp", "2024-01-01"],
    ["float64", "1"],
    ["list", [1]],
  ] as const)("refuses a value that is no %s", (kind, value) => {
    expect(() => encodeEntityKey([type(kind)], [value], createByteWriter())).toThrow(
      expect.objectContaining({ code: "KEY_TYPE_MISMATCH" }),
    );
  });

  test("refuses bytes of an unknown tag", () => {
    expect(() => decodeEntityKey(createByteReader(new Uint8Array([42])))).toThrow(
      expect.objectContaining({ code: "MALFORMED_BYTES" }),
    );
  });
});
