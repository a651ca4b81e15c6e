import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createJsonScanner } from "../../src/api/json-scanner.ts";
import { compilePlainRows } from "../../src/api/plain-rows.ts";
import { parseBody, readObject, readRows } from "../../src/api/request-body.ts";
import type { FeatureServiceMeta } from "../../src/definitions/feature-service.ts";
import type { ColumnKind, Value } from "../../src/definitions/value.ts";
import { compileLookup } from "../../src/feature_store/lookup.ts";

const KINDS: readonly ColumnKind[] = ["float64", "int32", "int64", "bool", "string", "timestamp", "one_of"];
const lookup: FeatureServiceMeta["lookup"] = [
  ...KINDS.map((kind) => ({ name: `c_${kind}`, type: typeOf(kind, false), role: "request" as const })),
  ...KINDS.map((kind) => ({ name: `n_${kind}`, type: typeOf(kind, true), role: "request" as const })),
  { name: "k", type: typeOf("int64", false), role: "key" as const },
  { name: "clé", type: typeOf("string", false), role: "key" as const },
];
const read = compilePlainRows(lookup, 3)!;
const readLookup = compileLookup({ name: "s", lookup } as unknown as FeatureServiceMeta);

function typeOf(kind: ColumnKind, nullable: boolean): FeatureServiceMeta["lookup"][number]["type"] {
  return { kind, nullable, ...(kind === "one_of" ? { values: ["a", "b", "ü"] } : {}) };
}

/** As the route reads a body; null where it refuses it. */
function ordinary(bytes: Uint8Array): Value[][] | null {
  try {
    const body = readObject(parseBody(Buffer.from(bytes).toString("utf8")), ["rows"]);
    return readRows(body.rows, 3).map((row) => readLookup(row));
  } catch {
    return null;
  }
}

const plain = (text: string | Uint8Array): Value[][] | null => {
  const bytes = Buffer.from(text as string);
  // With something around it that is not the body's.
  const among = Buffer.concat([Buffer.from("{1"), bytes, Buffer.from("2}")]);
  return read(among, 2, 2 + bytes.length);
};

const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.integer().map(String),
  fc.bigInt({ min: -(2n ** 66n), max: 2n ** 66n }).map(String),
  fc.stringMatching(/^-?(0|[1-9]\d{0,20})(\.\d{1,25})?([eE][+-]?\d{1,3})?$/),
  fc.stringMatching(/^-?0\.0{8,30}\d{1,17}$/),
  fc.stringMatching(/^[-+]?\d{0,3}\.?\d{0,3}([eE][+-]?\d{0,2})?$/),
  fc.constantFrom("-0", "0", "1e400", "9007199254740993", "0.1", "00", "1.", ".1", "-", "NaN", "Infinity"),
);
const value = fc.oneof(
  { weight: 6, arbitrary: number },
  { weight: 2, arbitrary: fc.string({ unit: "grapheme" }).map((text) => JSON.stringify(text)) },
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }).map((n) => `"${n}"`),
  fc.date({ noInvalidDate: true }).map((date) => JSON.stringify(date)),
  fc.constantFrom("true", "false", "null", '"a"', '"ü"', '"2026-01-02T03:04:05Z"', "[]", "{}", '"\\u0061"', '"\u0001"'),
);
const space = fc.constantFrom("", "", "", " ", "\n", "\t\r ", "\u00a0");
const good: Readonly<Record<ColumnKind, readonly string[]>> = {
  float64: ["1.5", "-0", "1e5", "123456789012345678"],
  int32: ["5", "-2147483647", "1e3", "5.0"],
  int64: ["7", '"12"', "-9007199254740991", '"-5"'],
  bool: ["true", "false"],
  string: ['"x"', '""', '"é"'],
  timestamp: ["1700000000000", '"2026-01-02T03:04:05.678Z"', "1.5"],
  one_of: ['"a"', '"ü"'],
  list: [],
};
const row = fc
  .tuple(
    fc.shuffledSubarray([...lookup], { minLength: lookup.length }),
    fc.array(fc.nat(), { minLength: lookup.length, maxLength: lookup.length }),
    space,
    fc.option(fc.tuple(fc.nat(), value), { freq: 2 }),
  )
  .map(([columns, picks, gap, wrong]) => {
    const members = columns.map(({ name, type }, i) => {
      const choice = good[type.kind];
      return `${gap}${JSON.stringify(name)}${gap}:${gap}${choice[picks[i]! % choice.length]}${gap}`;
    });
    if (wrong !== null) {
      const at = wrong[0] % members.length;
      members[at] = `"${columns[at]!.name}":${wrong[1]}`;
    }
    return `{${members.join(",")}}`;
  });
const body = fc.tuple(fc.array(row, { minLength: 1, maxLength: 4 }), space).map(([rows, gap]) => {
  return `${gap}{${gap}"rows"${gap}:${gap}[${rows.join(`${gap},`)}]${gap}}${gap}`;
});

describe("the rows of a plain body", () => {
  it("are read as the route reads them", () => {
    fc.assert(
      fc.property(body, (text) => {
        const rows = plain(text);
        if (rows !== null) expect(rows).toStrictEqual(ordinary(Buffer.from(text)));
      }),
      { numRuns: 2_000 },
    );
  });

  it("are read where every value is an ordinary one, in any order", () => {
    const text = JSON.stringify({
      rows: [lookup, [...lookup].reverse()].map((columns) =>
        Object.fromEntries(columns.map(({ name, type }) => [name, JSON.parse(good[type.kind][0]!)])),
      ),
    });
    const rows = plain(text);
    expect(rows).toHaveLength(2);
    expect(rows).toStrictEqual(ordinary(Buffer.from(text)));
  });

  it("are not read where the route refuses them, whatever bytes are changed, left out or added", () => {
    fc.assert(
      fc.property(
        body,
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 }), fc.constantFrom("set", "cut", "add", "end")), {
          minLength: 1,
          maxLength: 3,
        }),
        (text, changes) => {
          let bytes = [...Buffer.from(text)];
          for (const [at, byte, kind] of changes) {
            const place = at % bytes.length;
            if (kind === "end") bytes = bytes.slice(0, Math.max(1, place));
            else bytes.splice(place, kind === "add" ? 0 : 1, ...(kind === "cut" ? [] : [byte]));
            if (bytes.length === 0) return;
          }
          const rows = plain(Uint8Array.from(bytes));
          if (rows !== null) expect(rows).toStrictEqual(ordinary(Uint8Array.from(bytes)));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it("are not read if they are more than allowed, have a name twice, or the body says more", () => {
    const one = `{${lookup.map(({ name, type }) => `"${name}":${good[type.kind][0]}`).join(",")}}`;
    expect(plain(`{"rows":[${one}]}`)).toHaveLength(1);
    expect(plain(`{"rows":[${one},${one},${one},${one}]}`)).toBeNull();
    expect(plain(`{"rows":[${one}],"exact":true}`)).toBeNull();
    expect(plain(`{"rows":[${one.replace('"n_bool"', '"c_bool"')}]}`)).toBeNull();
    expect(plain('{"rows":[]}')).toBeNull();
    expect(compilePlainRows([{ name: 'a"b', type: typeOf("bool", false), role: "key" }], 1)).toBeNull();
  });
});

describe("a number", () => {
  it("is what JSON.parse makes of it, or none", () => {
    const scanner = createJsonScanner();
    fc.assert(
      fc.property(number, (text) => {
        let expected = Number.NaN;
        try {
          expected = JSON.parse(text) as number;
        } catch {
          // No number.
        }
        const bytes = Buffer.from(`${text} `);
        scanner.start(bytes, 0, text.length);
        const found = scanner.number();
        // A number may be followed by what belongs to no number: then it is for the caller to see.
        const isWhole = scanner.at === text.length;
        expect(isWhole ? found : Number.NaN).toBe(expected);
      }),
      { numRuns: 20_000 },
    );
  });
});
