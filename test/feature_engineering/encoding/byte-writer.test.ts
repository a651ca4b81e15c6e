import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Value } from "../../../src/definitions/value.ts";
import { type ByteReader, createByteReader } from "../../../src/feature_engineering/encoding/byte-reader.ts";
import { type ByteWriter, createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";

function written(write: (out: ByteWriter) => void): Uint8Array {
  const out = createByteWriter(1);
  write(out);
  return out.finish();
}

function again<T>(write: (out: ByteWriter) => void, read: (input: ByteReader) => T): T {
  const bytes = written(write);
  const padded = new Uint8Array(bytes.length + 7);
  padded.set(bytes, 3);
  const input = createByteReader(padded, 3, bytes.length + 3);
  const result = read(input);
  expect(input.remaining).toBe(0);
  expect(input.position).toBe(bytes.length + 3);
  return result;
}

const anyString = fc.oneof(fc.string(), fc.string({ unit: "binary", maxLength: 300 }), fc.string({ unit: "grapheme" }));

const scalar: fc.Arbitrary<Value> = fc.oneof(
  fc.constant(null),
  anyString,
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0),
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }),
  fc.boolean(),
);
const value: fc.Arbitrary<Value> = fc.oneof(scalar, fc.array(fc.oneof(scalar, fc.array(scalar))));

describe("bytes written and read again", () => {
  test("give every value back", () => {
    fc.assert(
      fc.property(fc.array(value), (values) => {
        const read = again(
          (out) => {
            for (const one of values) out.value(one);
          },
          (input) => values.map(() => input.value()),
        );
        expect(read).toStrictEqual(values);
      }),
      { numRuns: 500 },
    );
  });

  test("give integers back up to 2^53, in the bytes of LEB128", () => {
    const edges = [7, 14, 21, 28, 31, 32, 35, 42, 49, 52, 53].flatMap((bits) => [
      2 ** bits - 1,
      2 ** bits,
      2 ** bits + 1,
    ]);
    for (const x of [0, 1, 5e9 + 7, ...edges].filter((edge) => edge <= 2 ** 53)) {
      expect(
        again(
          (out) => out.varint(x),
          (input) => input.varint(),
        ),
      ).toBe(x);
      expect(
        again(
          (out) => out.zigzag(x),
          (input) => input.zigzag(),
        ),
      ).toBe(x);
      expect(
        again(
          (out) => out.zigzag(0 - x),
          (input) => input.zigzag(),
        ),
      ).toBe(0 - x);
      expect([...written((out) => out.varint(x))]).toStrictEqual(leb128(BigInt(x)));
      expect([...written((out) => out.zigzag(x))]).toStrictEqual(leb128(BigInt(x) * 2n));
      if (x > 0) expect([...written((out) => out.zigzag(-x))]).toStrictEqual(leb128(BigInt(x) * 2n - 1n));
    }
  });

  test("are UTF-8, with a lone surrogate as U+FFFD", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyString, fc.string({ unit: fc.constantFrom("a", "é", "\ud83d", "\ude00", "\udc00") })),
        (text) => {
          const bytes = written((out) => out.string(text));
          const input = createByteReader(bytes);
          const length = input.varint();
          expect(input.raw(length)).toStrictEqual(new TextEncoder().encode(text));
          expect(
            again(
              (out) => out.string(text),
              (reader) => reader.string(),
            ),
          ).toBe(text.toWellFormed());
        },
      ),
      { numRuns: 500 },
    );
  });

  test("hold words, doubles and nested bytes", () => {
    const read = again(
      (out) => {
        out.u8(255);
        const at = out.position;
        out.u32(0);
        out.u32(-1);
        out.f64(-0.1);
        out.bytes(new Uint8Array(100).fill(7));
        out.raw(new Uint8Array([1, 2]));
        out.patchU32(at, 2 ** 32 - 2);
        out.reserve(3)[out.position] = 9;
        out.advance(1);
      },
      (input) => [
        input.u8(),
        input.u32(),
        input.u32(),
        input.f64(),
        input.bytes().length,
        [...input.raw(2)],
        input.u8(),
      ],
    );
    expect(read).toStrictEqual([255, 2 ** 32 - 2, 2 ** 32 - 1, -0.1, 100, [1, 2], 9]);
  });

  test("are copied by finish, and start again after reset", () => {
    const out = createByteWriter();
    out.string("first");
    const first = out.finish();
    out.reset();
    out.string("other");
    expect(createByteReader(first).string()).toBe("first");
    expect(createByteReader(out.view()).string()).toBe("other");
    expect(out.position).toBe(6);
  });

  test("take few bytes", () => {
    expect(written((out) => out.value(0))).toHaveLength(2);
    expect(written((out) => out.value(1_700_000_000_000))).toHaveLength(7);
    expect(written((out) => out.value(0.5))).toHaveLength(9);
    expect(written((out) => out.value("abc"))).toHaveLength(5);
    expect(written((out) => out.value(300n))).toHaveLength(4);
  });
});

describe("what cannot be written or read", () => {
  test.each([-1, 0.5, 200.5, 2 ** 53 + 2, Number.NaN, Number.POSITIVE_INFINITY])("refuses %d as a varint", (x) => {
    expect(() => written((out) => out.varint(x))).toThrow(expect.objectContaining({ code: "NOT_ENCODABLE" }));
  });

  test.each([0.5, -(2 ** 53) - 2, Number.NaN])("refuses %d as a zigzag", (x) => {
    expect(() => written((out) => out.zigzag(x))).toThrow(expect.objectContaining({ code: "NOT_ENCODABLE" }));
  });

  test("refuses a value that was cut short anywhere", () => {
    const bytes = written((out) => out.value(["text", 1e9, 0.1, 2n ** 70n, [null, true]]));
    for (let end = 0; end < bytes.length; end++) {
      expect(() => createByteReader(bytes, 0, end).value()).toThrow(
        expect.objectContaining({ code: "MALFORMED_BYTES" }),
      );
    }
  });

  test.each([
    ["an unknown tag", [99]],
    ["a varint without end", [4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]],
    ["a list longer than the input", [7, 100]],
    ["a stray continuation byte", [3, 1, 0x80]],
    ["an overlong slash", [3, 2, 0xc0, 0xaf]],
    ["half a character", [3, 2, 0xe6, 0x97]],
    ["a code point beyond Unicode", [3, 4, 0xf4, 0x90, 0x80, 0x80]],
  ])("refuses %s", (_, bytes) => {
    expect(() => createByteReader(new Uint8Array(bytes)).value()).toThrow(
      expect.objectContaining({ code: "MALFORMED_BYTES" }),
    );
  });
});

function leb128(x: bigint): number[] {
  return x < 128n ? [Number(x)] : [Number(x & 127n) | 128, ...leb128(x >> 7n)];
}
