import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeUbjson } from "../../../src/api/models/ubjson-decoder.ts";
import { codeOf } from "./fixtures.ts";

/** Bytes from texts (their characters) and numbers. */
function bytes(...parts: (string | number | readonly number[])[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "string" ? [...part].map((c) => c.charCodeAt(0)) : typeof part === "number" ? [part] : [...part],
    ),
  );
}

const int64 = (value: number): number[] => [...new Uint8Array(new BigInt64Array([BigInt(value)]).buffer)].reverse();

/** A plain encoder, the decoder's mirror. */
function encode(value: unknown): number[] {
  const text = (s: string): number[] => [...bytes("L"), ...int64(Buffer.byteLength(s)), ...Buffer.from(s)];
  if (value === null) return [...bytes("Z")];
  if (value === true) return [...bytes("T")];
  if (value === false) return [...bytes("F")];
  if (typeof value === "string") return [...bytes("S"), ...text(value)];
  if (typeof value === "number")
    return [...bytes("D"), ...[...new Uint8Array(Float64Array.of(value).buffer)].reverse()];
  if (Array.isArray(value)) return [...bytes("["), ...value.flatMap(encode), ...bytes("]")];
  return [
    ...bytes("{"),
    ...Object.entries(value as object).flatMap(([k, v]) => [...text(k), ...encode(v)]),
    ...bytes("}"),
  ];
}

describe("decodeUbjson", () => {
  test("reads back whatever is written", () => {
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { depthSize: "small" },
        fc.constant(null),
        fc.boolean(),
        fc.double(),
        fc.string({ unit: "binary" }),
        tie("list"),
        tie("map"),
      ),
      list: fc.array(tie("json"), { maxLength: 4 }),
      map: fc.dictionary(fc.string(), tie("json"), { maxKeys: 4 }),
    }));
    fc.assert(
      fc.property(json, (value) => {
        expect(structuredClone(decodeUbjson(Uint8Array.from(encode(value))))).toEqual(structuredClone(value));
      }),
    );
  });

  test("reads every kind of number", () => {
    expect(
      decodeUbjson(
        bytes(
          "[i",
          0xff,
          "U",
          0xff,
          "I",
          0x80,
          0,
          "l",
          0x7f,
          255,
          255,
          255,
          "L",
          int64(-5),
          "d",
          0x3f,
          0xc0,
          0,
          0,
          "C",
          65,
          "]",
        ),
      ),
    ).toEqual([-1, 255, -32768, 2147483647, -5, 1.5, "A"]);
  });

  test("reads strongly typed containers into typed arrays", () => {
    expect(decodeUbjson(bytes("[$d#L", int64(2), 0x3f, 0x80, 0, 0, 0xbf, 0x80, 0, 0))).toEqual(Float32Array.of(1, -1));
    expect(decodeUbjson(bytes("[$l#i", 1, 0, 0, 1, 0))).toEqual(Int32Array.of(256));
    expect(decodeUbjson(bytes("[$U#U", 3, 1, 2, 255))).toEqual(Uint8Array.of(1, 2, 255));
    expect(decodeUbjson(bytes("[$i#U", 1, 255))).toEqual(Int8Array.of(-1));
    expect(decodeUbjson(bytes("[$I#U", 1, 1, 0))).toEqual(Int16Array.of(256));
    expect(decodeUbjson(bytes("[$L#U", 1, int64(7)))).toEqual(Float64Array.of(7));
    expect(decodeUbjson(bytes("[$S#i", 2, "i", 1, "a", "i", 1, "b"))).toEqual(["a", "b"]);
    expect(decodeUbjson(bytes("{$i#i", 1, "i", 1, "k", 9))).toEqual(Object.assign(Object.create(null), { k: 9 }));
    expect(decodeUbjson(bytes("[#i", 2, "T", "Z"))).toEqual([true, null]);
  });

  test("takes `__proto__` as an ordinary key", () => {
    const decoded = decodeUbjson(bytes("{i", 9, "__proto__", "{i", 1, "x", "T}}")) as Record<string, unknown>;
    expect(Object.keys(decoded)).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  test.each<[string, Uint8Array]>([
    ["nothing", bytes()],
    ["an open array", bytes("[T")],
    ["bytes after the end", bytes("TT")],
    ["an unknown marker", bytes("q")],
    ["a high-precision number", bytes("Hi", 1, "1")],
    ["a negative length", bytes("Si", 0xff)],
    ["a length beyond the data", bytes("SL", int64(2 ** 40))],
    ["a typed array beyond the data", bytes("[$d#L", int64(2 ** 30), 0, 0)],
    ["a count of values that take no bytes", bytes("[$Z#L", int64(2 ** 40))],
    ["a length that is a float", bytes("Sd", 0, 0, 0, 0)],
    ["a typed container without a count", bytes("[$d", 0, 0, 0, 0)],
    ["text that is not UTF-8", bytes("Si", 1, 0xff)],
    ["nesting without end", bytes("[".repeat(100_000))],
  ])("refuses %s", async (_, input) => {
    expect(await codeOf(() => decodeUbjson(input))).toBe("MODEL_CORRUPT");
  });
});
