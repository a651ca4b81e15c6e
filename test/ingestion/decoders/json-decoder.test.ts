import fc from "fast-check";
import { expect, test } from "vitest";
import { jsonFailure, parseJson, utf8Text } from "../../../src/ingestion/decoders/json-decoder.ts";
import { compileMessageDecoder } from "../../../src/ingestion/decoders/message-decoder.ts";
import type { SourceColumn } from "../../../src/ingestion/decoders/row-decoder.ts";

const columns: readonly SourceColumn[] = [
  { name: "at", type: { kind: "timestamp", nullable: false } },
  { name: "n", type: { kind: "int64", nullable: true } },
  { name: "x", type: { kind: "float64", nullable: true } },
];
const { decodeValue } = compileMessageDecoder(columns, { eventTime: "at" });
const AT = Date.UTC(2026, 0, 31);

function failureOf(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    return jsonFailure(text, error).reason;
  }
  return "no failure";
}

test("every int64 keeps its digits, as a number and as a string", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (n) => {
      expect(decodeValue(`{"at":${AT},"n":${n}}`)).toEqual([AT, n, null]);
      expect(decodeValue(`{"at":${AT},"n": ${n}, "x":[${n}]}`)).toMatchObject({ code: "INVALID_VALUE" });
      expect(decodeValue(Buffer.from(`{"n":"${n}","at":${AT}}`))).toEqual([AT, n, null]);
    }),
  );
});

test("doubles read the same on the exact path as on the fast one", () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (x) => {
      const text = `{"x":${x},"n":9223372036854775807,"at":${AT}}`;
      expect(decodeValue(text)).toEqual([AT, 9223372036854775807n, x + 0]);
    }),
  );
  expect(decodeValue(`{"at":${AT},"x":12345678901234567890123}`)).toEqual([AT, null, 1.2345678901234568e22]);
  expect(decodeValue(`{"at":${AT},"x":12345678901234567}`)).toEqual([AT, null, 12345678901234568]);
});

test("an int64 literal that a double would round is refused rather than rounded", () => {
  for (const literal of [
    "9223372036854775808",
    "450359962737049.5",
    "9.007199254740993e15",
    "99999999999999999999999",
  ]) {
    expect(decodeValue(`{"at":${AT},"n":${literal}}`), literal).toMatchObject({ code: "INVALID_VALUE" });
  }
});

test("the last of duplicated keys wins on both paths", () => {
  expect(decodeValue(`{"at":${AT},"n":1,"n":2}`)).toEqual([AT, 2n, null]);
  expect(decodeValue(`{"at":${AT},"n":1,"n":9007199254740993}`)).toEqual([AT, 9007199254740993n, null]);
});

test("bad JSON says where", () => {
  expect(failureOf('{"a":x}')).toBe('Not JSON: Unexpected token "x" at position 5');
  expect(failureOf('{"a":[1,2,]}')).toBe('Not JSON: Unexpected token "]" at position 10');
  expect(failureOf('{"a":1')).toMatch(/at position 6/);
  expect(failureOf('{"a":"b')).toMatch(/at position 7/);
  expect(failureOf("nul")).toMatch(/at position 3/);
  expect(failureOf("  ")).toMatch(/empty/);
});

test("the position of a foreign character in valid JSON is found", () => {
  fc.assert(
    fc.property(fc.array(fc.integer(), { minLength: 1 }), fc.nat(), (list, place) => {
      const items = list.map(String);
      const index = place % items.length;
      const text = `[${items.map((item, i) => (i === index ? "~" : item)).join(",")}]`;
      expect(failureOf(text)).toContain(`at position ${text.indexOf("~")}`);
    }),
  );
});

test("JSON that is no object is a failure", () => {
  for (const text of ["[]", "5", "null", '"text"']) expect(decodeValue(text)).toMatchObject({ code: "DECODE_FAILED" });
});

test("a nesting bomb is a failure and no crash, on both paths", () => {
  const bomb = `${"[".repeat(300_000)}${"]".repeat(300_000)}`;
  expect(decodeValue(`{"at":${AT},"n":1,"z":${bomb}}`)).toEqual([AT, 1n, null]);
  expect(decodeValue(`{"at":${AT},"n":9007199254740993,"z":${bomb}}`)).toMatchObject({
    code: "DECODE_FAILED",
    reason: expect.stringContaining("nested too deeply"),
  });
  expect(decodeValue("[".repeat(1_000_000))).toMatchObject({ code: "DECODE_FAILED" });
});

test("a byte order mark is dropped and bytes that are no UTF-8 become U+FFFD", () => {
  expect(utf8Text(Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff]))).toBe("a\ufffd");
});

test("without exact integers, parsing is JSON.parse", () => {
  expect(parseJson('{"n":9007199254740993}', false)).toEqual({ n: 9007199254740992 });
});
